"""scikit-learn's own conformance suite."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors


@parametrize_with_checks([NearestNeighbors(), KNeighborsClassifier(), KNeighborsRegressor()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)
