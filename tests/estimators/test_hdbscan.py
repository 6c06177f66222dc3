"""What is special about HDBSCAN besides its labels: trees, centres, rows that are not finite."""

import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.cluster import HDBSCAN as Theirs
from sklearn.datasets import make_blobs

from onetrip.cluster import HDBSCAN
from onetrip.core.errors import UnsupportedError

X = make_blobs(200, 3, centers=4, random_state=0)[0]


def test_rows_that_are_not_finite_belong_to_nothing():
    holed = X.copy()
    holed[3, 1], holed[70, 0], holed[71] = np.nan, np.inf, (np.nan, np.inf, 0.0)
    ours = HDBSCAN(min_cluster_size=8).fit(holed)
    theirs = Theirs(min_cluster_size=8, copy=True).fit(holed)
    assert ours.labels_[[3, 70, 71]].tolist() == [-3, -2, -3]
    assert np.array_equal(ours.labels_ < 0, theirs.labels_ < 0)
    np.testing.assert_allclose(ours.probabilities_, theirs.probabilities_, rtol=1e-9)
    rows = ours.single_linkage_tree_.to_numpy()
    np.testing.assert_allclose(rows[:, 2], theirs._single_linkage_tree_["value"])
    assert rows[-1].tolist()[2:] == [np.inf, 200.0]
    assert sorted(rows[:, :2].astype(int).ravel()) == list(range(2 * 200 - 2))
    cut = ours.dbscan_clustering(1.0)
    assert cut[[3, 70, 71]].tolist() == [-3, -2, -3]
    assert np.array_equal(cut < 0, theirs.dbscan_clustering(1.0) < 0)


def test_condensed_tree_holds_every_sample_once():
    model = HDBSCAN(min_cluster_size=8).fit(X)
    rows = model.condensed_tree_.to_numpy()
    children = np.sort(rows["child"])
    assert children.tolist() == [*range(200), *range(201, 201 + len(rows) - 200)]
    assert (rows["parent"][rows["child"] >= 200] < rows["child"][rows["child"] >= 200]).all()
    chosen = model.condensed_tree_.selected_clusters()
    assert len(chosen) == model.labels_.max() + 1
    frame = model.condensed_tree_.to_pandas()
    assert list(frame.columns) == ["parent", "child", "lambda_val", "child_size"]
    assert len(model.single_linkage_tree_.to_pandas()) == 199


def test_bars_end_where_points_end():
    tree = HDBSCAN(min_cluster_size=8).fit(X).condensed_tree_
    rows = tree.to_numpy()
    for cluster in np.unique(rows["parent"]):
        bars = [bar for bar in tree.bars() if bar["cluster"] == cluster]
        own = rows[rows["parent"] == cluster]
        assert bars[-1]["bottom"] == pytest.approx(own["lambda_val"].max())
        after_birth = own["lambda_val"] > bars[0]["top"]
        assert bars[0]["width"] == own["child_size"][after_birth].sum()


def test_trees_are_drawn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    model = HDBSCAN(min_cluster_size=8).fit(X)
    axes = model.condensed_tree_.plot()
    assert len(axes.patches) == len(model.condensed_tree_.bars())
    assert model.single_linkage_tree_.plot().get_ylabel() == "distance"
    pyplot.close("all")


def test_a_dendrogram_of_equal_points_lies_flat():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    model = HDBSCAN(min_cluster_size=2).fit(np.zeros((6, 2)))
    axes = model.single_linkage_tree_.plot()
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.0] * 4] * 5
    assert axes.get_ylim() == (0.0, 1.0)
    pyplot.close("all")


def test_centres_are_those_of_scikit_learn():
    ours = HDBSCAN(min_cluster_size=8, store_centers="both").fit(X)
    theirs = Theirs(min_cluster_size=8, store_centers="both", copy=True).fit(X)
    for name in ("centroids_", "medoids_"):
        a, b = (np.sort(getattr(model, name), axis=0) for model in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_sparse_samples_give_the_labels_of_dense_ones():
    dense = np.where(np.abs(X) > 1, X, 0.0)
    labels = HDBSCAN().fit_predict(sparse.csr_matrix(dense))
    assert np.array_equal(labels, HDBSCAN().fit_predict(dense))


def test_tensors_come_back_as_tensors_and_are_not_written_into():
    samples = torch.from_numpy(X.astype(np.float32))
    before = samples.clone()
    model = HDBSCAN(store_centers="centroid").fit(samples)
    for name in ("labels_", "probabilities_", "outlier_scores_", "centroids_"):
        assert isinstance(getattr(model, name), torch.Tensor), name
    assert torch.equal(samples, before)
    assert isinstance(model.dbscan_clustering(1.0), torch.Tensor)
    assert 0.0 <= model.reevaluated_share_ <= 1.0


def test_fitted_model_is_pickled_with_its_trees():
    model = HDBSCAN().fit(X)
    again = pickle.loads(pickle.dumps(model))
    ours, theirs = (m.condensed_tree_.to_numpy() for m in (model, again))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "precomputed"}, "`metric` must be \"euclidean\", got 'precomputed'"),
        ({"metric": "cosine"}, "For cosine, normalise the samples first"),
        ({"metric_params": {"p": 3}}, "`metric_params` must be None"),
    ],
)
def test_what_is_not_supported_is_refused(parameters, message):
    with pytest.raises(UnsupportedError, match=message):
        HDBSCAN(**parameters).fit(X)


def test_more_neighbours_than_samples_are_refused():
    with pytest.raises(ValueError, match="min_samples \\(300\\) must be at most"):
        HDBSCAN(min_samples=300).fit(X)
    with pytest.raises(ValueError, match="min_samples \\(200\\) must be at most"):
        HDBSCAN(min_samples=200, core_distance="excluding_self").fit(X)
