"""What cannot be learned from is refused with the reason, whatever kind it comes in."""

import numpy as np
import pytest
import torch
from estimator_pairs import make, samples, targets

from onetrip.core.errors import ArgumentError
from onetrip.decomposition import PCA


@pytest.mark.parametrize("name", ["KNeighborsClassifier", "MultinomialNB"])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_continuous_labels_are_refused(name, kind):
    with pytest.raises(ValueError, match="continuous"):
        make(name).fit(samples(), kind(targets() + 0.5))


@pytest.mark.parametrize("name", ["KNeighborsClassifier", "MultinomialNB"])
def test_whole_numbers_in_floating_tensors_are_labels(name):
    y = torch.tensor(targets())
    model = make(name).fit(torch.tensor(samples()), y.double())
    assert model.classes_.tolist() == [0.0, 1.0, 2.0]
    expected = make(name).fit(torch.tensor(samples()), y).predict(torch.tensor(samples()))
    assert torch.equal(model.predict(torch.tensor(samples())).long(), expected)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("name", ["KMeans", "MiniBatchKMeans"])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (0.0, "at least one non-zero"),
        (-1.0, "`sample_weight` must be finite and >= 0"),
        (np.nan, "NaN"),
        (np.inf, "infin"),
    ],
)
def test_weights_that_weigh_nothing_are_refused(name, kind, weight, message):
    with pytest.raises(ValueError, match=message):
        make(name).fit(samples(), sample_weight=kind(np.full(40, weight)))


@pytest.mark.parametrize("name", ["KMeans", "MiniBatchKMeans", "MultinomialNB"])
def test_samples_of_no_weight_count_for_nothing(name):
    X, y = samples(), targets()
    weight = np.ones(40)
    weight[30:] = 0.0
    options = {} if name == "MultinomialNB" else {"init": X[:3], "n_init": 1}
    far = X.copy()
    far[30:] += 500.0
    ours, others = (make(name, **options).fit(x, y, sample_weight=weight) for x in (X, far))
    learned = "feature_log_prob_" if name == "MultinomialNB" else "cluster_centers_"
    if name != "MiniBatchKMeans":
        np.testing.assert_allclose(getattr(ours, learned), getattr(others, learned), rtol=1e-12)
    assert getattr(others, learned).max() < 100.0


@pytest.mark.parametrize("components", [None, 5, 4, 0])
def test_no_density_where_a_direction_has_no_variance(components):
    X = samples()
    X[:, 4] = 7.0
    if components == 0:
        X[:] = 7.0
    model = PCA(components).fit(X)
    with pytest.raises(ArgumentError, match="covariance of these samples has no inverse"):
        model.score(X)
    assert np.isfinite(model.get_covariance()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_likelihoods_have_the_dtype_of_the_components(dtype):
    assert PCA(2).fit(samples().astype(dtype)).score_samples(samples()).dtype == dtype
