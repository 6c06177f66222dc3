"""scikit-learn's own checks of an estimator."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.naive_bayes import MultinomialNB


@parametrize_with_checks([MultinomialNB(), MultinomialNB(precision="fast", fit_prior=False)])
def test_estimator_is_one_of_scikit_learn(estimator, check):
    check(estimator)
