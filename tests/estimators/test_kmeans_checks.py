"""KMeans and MiniBatchKMeans pass scikit-learn's own checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.cluster import KMeans, MiniBatchKMeans


def _expected_failures(_estimator):
    # As of scikit-learn's own KMeans: starts are drawn by weight, so they are not those of
    # repeated samples in another order.
    reason = "a random start by weight is not that of repeated samples"
    kinds = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in kinds}


@parametrize_with_checks(
    [
        KMeans(n_clusters=2, n_init=2, max_iter=5),
        MiniBatchKMeans(n_clusters=2, n_init=2, max_iter=5, batch_size=10),
    ],
    expected_failed_checks=_expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
