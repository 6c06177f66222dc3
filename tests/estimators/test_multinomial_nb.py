"""Multinomial naive Bayes beside scikit-learn's, on every kind of input."""

import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn import naive_bayes
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from onetrip.core.errors import ArgumentError
from onetrip.naive_bayes import MultinomialNB

X, Y = load_digits(return_X_y=True)
NAMES = np.array(["nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def alike(ours, theirs, X=X):
    for name in ("class_count_", "feature_count_", "class_log_prior_", "feature_log_prob_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    joint = theirs.predict_joint_log_proba(X)
    np.testing.assert_allclose(ours.predict_joint_log_proba(X), joint, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int16", "uint8"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_dtype_gives_what_scikit_learn_gives(dtype, weighted):
    weight = np.random.default_rng(0).random(len(X)) if weighted else None
    given = X.astype(dtype)
    alike(
        MultinomialNB(alpha=0.3).fit(given, Y, weight),
        naive_bayes.MultinomialNB(alpha=0.3).fit(X, Y, weight),
    )


def test_sparse_samples_are_never_made_dense(monkeypatch):
    csr = sparse.random_array((500, 10_000), density=0.01, rng=0, format="csr")
    y = np.arange(500) % 7
    monkeypatch.setattr("onetrip.estimators.class_sums._BLOCK_ENTRIES", 1234)
    monkeypatch.setattr(type(csr), "toarray", None)
    weight = np.random.default_rng(1).random(500)
    ours = MultinomialNB().fit(csr, y, weight)
    monkeypatch.undo()
    alike(ours, naive_bayes.MultinomialNB().fit(csr, y, weight), csr)


def test_tensors_come_back_as_tensors():
    x, y = torch.tensor(X, dtype=torch.bfloat16), torch.tensor(Y)
    model = MultinomialNB().fit(x, y)
    theirs = naive_bayes.MultinomialNB().fit(X, Y)
    assert isinstance(model.feature_count_, torch.Tensor)
    assert torch.equal(model.predict(x), torch.tensor(theirs.predict(X)))
    assert model.score(x.numpy(force=True) if x.dtype != torch.bfloat16 else X, Y) > 0.85


def test_batches_give_the_bits_of_the_whole():
    whole = MultinomialNB().fit(X.astype(np.int32), Y)
    batches = MultinomialNB()
    for start in range(0, len(X), 300):
        rows = slice(start, start + 300)
        batches.partial_fit(X[rows].astype(np.int32), Y[rows], classes=range(10))
    np.testing.assert_array_equal(batches.feature_log_prob_, whole.feature_log_prob_)
    np.testing.assert_array_equal(batches.class_log_prior_, whole.class_log_prior_)


def test_the_margin_decides_and_float64_has_the_last_word():
    """Two classes whose scores differ by less than float32 can tell: only float64 is right."""
    rng = np.random.default_rng(0)
    counts = np.repeat(rng.integers(900_000, 1_000_000, (1, 400)), 2, axis=0)
    counts[1] += np.resize([1, -1], 400)
    x = rng.integers(0, 3000, (300, 400)).astype(np.float32)
    theirs = naive_bayes.MultinomialNB().fit(counts, [0, 1])
    gold = theirs.predict(x.astype(np.float64))
    certified = MultinomialNB().fit(counts, [0, 1])
    fast = MultinomialNB(precision="fast").fit(counts, [0, 1])
    np.testing.assert_array_equal(certified.predict(x), gold)
    assert certified.reevaluated_share(x) > 0.5
    assert (fast.predict(x) != gold).any()
    digits = MultinomialNB().fit(X, Y)
    assert digits.reevaluated_share(X.astype(np.float32)) < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": np.linspace(0.1, 2, X.shape[1])},
        {"fit_prior": False},
        {"class_prior": np.arange(1, 11) / 55},
        {"alpha": 0.0, "force_alpha": True},
    ],
)
def test_options_mean_what_they_mean_there(options):
    given = X + 1.0
    alike(
        MultinomialNB(**options).fit(given, Y),
        naive_bayes.MultinomialNB(**options).fit(given, Y),
        given,
    )


def test_small_alpha_is_raised_with_a_warning():
    with pytest.warns(UserWarning, match="alpha too small"):
        ours = MultinomialNB(alpha=0.0, force_alpha=False).fit(X, Y)
    with pytest.warns(UserWarning, match="alpha too small"):
        theirs = naive_bayes.MultinomialNB(alpha=0.0, force_alpha=False).fit(X, Y)
    alike(ours, theirs)


def test_any_labels_pipelines_clones_and_pickles():
    model = make_pipeline(FunctionTransformer(np.sqrt), MultinomialNB(alpha=0.5))
    model.fit(X, NAMES[Y])
    again = pickle.loads(pickle.dumps(model))
    assert set(again.predict(X[:50])) <= set(NAMES)
    assert clone(model[-1]).get_params() == model[-1].get_params()
    assert not hasattr(clone(model[-1]), "classes_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: MultinomialNB().fit(-X, Y), "Negative values in data"),
        (lambda: MultinomialNB().fit(sparse.csr_array(-X), Y), "Negative values in data"),
        (lambda: MultinomialNB().fit(torch.tensor(-X), torch.tensor(Y)), "Negative values"),
        (lambda: MultinomialNB().fit(torch.tensor(X), torch.tensor(X[:, 0] + 0.5)), "labels"),
        (lambda: MultinomialNB().fit(torch.tensor(X)[0], torch.tensor(Y)), "matrix"),
        (lambda: MultinomialNB().fit(X, None), "requires y to be passed"),
        (lambda: MultinomialNB(alpha=-1.0).fit(X, Y), "alpha"),
        (lambda: MultinomialNB(alpha=np.ones(3)).fit(X, Y), "one for each of 64"),
        (lambda: MultinomialNB(class_prior=[0.5, 0.5]).fit(X, Y), "Number of priors"),
        (lambda: MultinomialNB().partial_fit(X, Y), "classes must be passed on the first call"),
        (lambda: MultinomialNB().partial_fit(X, Y, classes=range(9)), "Name all labels"),
        (lambda: MultinomialNB().fit(X, Y).predict(X[:, :5]), "features"),
        (lambda: MultinomialNB().fit(X, Y).predict(torch.tensor(X[:, :5])), "64 features"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        change()


def test_other_classes_in_a_later_batch_are_refused():
    model = MultinomialNB().partial_fit(X, Y, classes=range(10))
    with pytest.raises(ArgumentError, match="not the same as on last call"):
        model.partial_fit(X, Y, classes=range(11))
