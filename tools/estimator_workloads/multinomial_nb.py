"""Races of MultinomialNB: fit on counts, then predict the class of the same samples."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "multinomial_nb"
ESTIMATOR = "MultinomialNB"


def _counts(n_samples: int, n_features: int, n_classes: int, dtype: str) -> Data:
    generator = np.random.default_rng(0)
    rate = (2.0 * generator.random((n_classes, n_features)) ** 4).astype(np.float32)
    y = generator.integers(0, n_classes, n_samples)
    X = np.empty((n_samples, n_features), dtype)
    for start in range(0, n_samples, 1000):
        rows = slice(start, start + 1000)
        X[rows] = generator.poisson(rate[y[rows]])
    return {"X": X, "y": y}


def _sparse(n_samples: int, n_features: int, n_classes: int) -> Data:
    generator = np.random.default_rng(0)
    X = sparse.random_array((n_samples, n_features), density=0.004, rng=generator, format="csr")
    X.data = np.ceil(5 * X.data)
    return {"X": X, "y": generator.integers(0, n_classes, n_samples)}


def _digits() -> Data:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return {"X": X, "y": y}


def _onetrip(data: Data) -> Any:
    from onetrip.naive_bayes import MultinomialNB

    model = MultinomialNB().fit(data["X"], data["y"])
    return model.feature_log_prob_, model.predict(data["X"])


def _sklearn(data: Data) -> Any:
    from sklearn.naive_bayes import MultinomialNB

    model = MultinomialNB().fit(data["X"], data["y"])
    return model.feature_log_prob_, model.predict(data["X"])


def _check(data: Data, answers: Mapping[str, Any]) -> None:
    """The same probabilities, and the same class for every sample."""
    (ours, labels), (theirs, expected) = answers[OURS], answers["sklearn"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    wrong = int((labels != expected).sum())
    if wrong:
        raise AssertionError(f"{wrong} of {len(labels)} samples are in another class")


def _race(name: str, make: Any, axes: Mapping[str, int], dtype: str, why: str) -> Race:
    contenders = {OURS: _onetrip, "sklearn": _sklearn}
    return Race(name, axes, why, make, contenders, _check, dtype)


def _dense(name: str, N: int, D: int, C: int, dtype: str, why: str) -> Race:
    axes = {"n_samples": N, "n_features": D, "n_classes": C}
    return _race(name, partial(_counts, N, D, C, dtype), axes, dtype, why)


_SPARSE = {"n_samples": 20_000, "n_features": 30_000, "n_classes": 20}
_DIGITS = {"n_samples": 1797, "n_features": 64, "n_classes": 10}

RACES = (
    _race("digits", _digits, _DIGITS, "float64", "real data: pixels as counts"),
    _dense("words", 20_000, 2_000, 20, "float32", "dense counts of words"),
    _dense("integers", 20_000, 1_000, 20, "int64", "counts as they come, not cast beforehand"),
    _dense("families", 10_000, 1_000, 500, "float32", "many classes: a product is not free"),
    _race(
        "sparse-words",
        partial(_sparse, *_SPARSE.values()),
        _SPARSE,
        "float64",
        "a bag of words as a sparse matrix",
    ),
)


def growth(n_samples: int) -> Race:
    """Dense counts of 64 words in 10 classes: linear in time, flat in memory."""
    why = "time and memory over the number of samples"
    return _dense(f"growth-{n_samples}", n_samples, 64, 10, "float32", why)
