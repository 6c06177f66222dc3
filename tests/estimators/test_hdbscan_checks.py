"""scikit-learn's own conformance suite."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.cluster import HDBSCAN


@parametrize_with_checks([HDBSCAN(min_samples=1)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)
