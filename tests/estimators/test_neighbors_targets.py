"""Classes and targets predicted by neighbours, beside scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn import neighbors
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from onetrip.neighbors import KNeighborsClassifier, KNeighborsRegressor

X, Y = load_iris(return_X_y=True)
X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)  # Iris has ties.
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def halves(distances):
    """Weights that a user may write."""
    return 0.5 ** np.asarray(distances)


@pytest.mark.parametrize("weights", ["uniform", "distance", halves, None])
@pytest.mark.parametrize("labels", [Y, NAMES, np.stack([Y, Y % 2], 1)], ids=["int", "str", "two"])
def test_classes_are_scikit_learns(weights, labels):
    ours = KNeighborsClassifier(6, weights=weights).fit(X[::2], labels[::2])
    theirs = neighbors.KNeighborsClassifier(6, weights=weights).fit(X[::2], labels[::2])
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_array_equal(np.hstack(ours.classes_), np.hstack(theirs.classes_))
    shares = np.hstack(ours.predict_proba(X)), np.hstack(theirs.predict_proba(X))
    np.testing.assert_allclose(*shares, rtol=1e-9)
    right = (theirs.predict(X) == labels).reshape(len(X), -1).all(1)
    assert ours.score(X, labels) == pytest.approx(right.mean())


def test_everybody_is_predicted_from_the_others():
    ours = KNeighborsClassifier().fit(X, NAMES)
    theirs = neighbors.KNeighborsClassifier().fit(X, NAMES)
    np.testing.assert_array_equal(ours.predict(None), theirs.predict(None))
    assert ours.score(None, NAMES) == pytest.approx(theirs.score(None, NAMES))


def test_sample_weights_of_a_score():
    ours = KNeighborsClassifier().fit(X[::2], Y[::2])
    weight = np.random.default_rng(1).random(len(X))
    theirs = neighbors.KNeighborsClassifier().fit(X[::2], Y[::2])
    assert ours.score(X, Y, weight) == pytest.approx(theirs.score(X, Y, weight))


def test_a_sample_at_distance_zero_decides():
    model = KNeighborsClassifier(3, weights="distance").fit([[0.0], [1.0], [1.1]], [0, 1, 1])
    assert model.predict_proba([[0.0]]).tolist() == [[1.0, 0.0]]


def test_weights_of_zero_are_an_error():
    model = KNeighborsClassifier(3, weights=np.zeros_like).fit(X, Y)
    with pytest.raises(ValueError, match="All neighbors of some sample is getting zero weights"):
        model.predict(X)


@pytest.mark.parametrize("weights", ["uniform", "distance", halves, None])
@pytest.mark.parametrize("outputs", [1, 2])
def test_targets_are_scikit_learns(weights, outputs):
    samples, y = load_diabetes(return_X_y=True)
    y = np.stack([y, y**2], 1) if outputs == 2 else y
    ours = KNeighborsRegressor(4, weights=weights).fit(samples[::2], y[::2])
    theirs = neighbors.KNeighborsRegressor(4, weights=weights).fit(samples[::2], y[::2])
    np.testing.assert_allclose(ours.predict(samples), theirs.predict(samples), rtol=1e-9)
    assert ours.score(samples, y) == pytest.approx(theirs.score(samples, y))
    np.testing.assert_allclose(ours.predict(None), theirs.predict(None), rtol=1e-9)


def test_tensors_come_back_as_tensors():
    x, y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y)
    model = KNeighborsClassifier(weights="distance").fit(x, y)
    theirs = neighbors.KNeighborsClassifier(weights="distance").fit(x.double(), Y)
    assert torch.equal(model.predict(x), torch.tensor(theirs.predict(x.double())))
    assert isinstance(model.classes_, torch.Tensor)
    assert isinstance(model.predict_proba(x), torch.Tensor)
    assert model.score(x, y) == pytest.approx(theirs.score(x.double(), Y))
    both = KNeighborsClassifier().fit(x, torch.stack([y, y % 2], 1)).predict(x)
    assert both.shape == (150, 2)
    regressor = KNeighborsRegressor().fit(x, y.float())
    assert isinstance(regressor.predict(x), torch.Tensor)
    assert 0.9 < regressor.score(x, y.float()) <= 1


def test_pipeline_and_search():
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"kneighborsclassifier__n_neighbors": [1, 5]}, cv=3)
    assert search.fit(X, NAMES).best_score_ > 0.9


@pytest.mark.parametrize("model", [KNeighborsClassifier(), KNeighborsRegressor()])
def test_targets_are_needed_for_every_sample(model):
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(X, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y[:-1])
    with pytest.raises(ValueError, match=r"`y` must be of shape \(150,\)"):
        model.fit(X, torch.tensor(Y[:-1]))


@pytest.mark.parametrize("name", ["KNeighborsClassifier", "KNeighborsRegressor"])
def test_parameters_are_scikit_learns(name):
    import onetrip.neighbors

    theirs = getattr(neighbors, name)().get_params()
    ours = getattr(onetrip.neighbors, name)().get_params()
    assert {parameter: ours[parameter] for parameter in theirs} == theirs


@pytest.mark.parametrize("model", [KNeighborsClassifier, KNeighborsRegressor])
def test_scores_of_tensors_are_those_of_arrays(model):
    samples, labels = torch.rand(60, 3), torch.arange(60) % 3
    weight = torch.rand(60, requires_grad=True)
    plain = model().fit(samples.numpy(), labels.numpy())
    expected = plain.score(samples.numpy(), labels.numpy(), weight.detach().numpy())
    targets = labels if model is KNeighborsClassifier else labels.bfloat16()
    assert model().fit(samples, targets).score(samples, targets, weight) == pytest.approx(expected)
