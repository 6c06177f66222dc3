"""Races of KNeighborsRegressor: fit and predict, beside scikit-learn and faiss.

faiss has no regressor: NumPy takes the means of what it finds, where the samples are float32.
"""

from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.kneighbors_classifier import search_with_faiss, sizes, vote_race
from estimator_workloads.protocol import Data, Race

OPERATOR = "kneighbors"
ESTIMATOR = "KNeighborsRegressor"


def _surface(n_queries: int, n_samples: int, n_features: int, n_outputs: int) -> Data:
    """Draw uniform samples, and smooth functions of them with noise."""
    generator = np.random.default_rng(0)
    X = generator.random((n_samples + n_queries, n_features), dtype=np.float32)
    directions = generator.standard_normal((n_features, n_outputs), dtype=np.float32)
    y = np.sin(X @ directions) + 0.1 * generator.standard_normal((len(X), n_outputs))
    return {
        "corpus": X[:n_samples],
        "y": (y if n_outputs > 1 else y[:, 0])[:n_samples],
        "queries": X[n_samples:],
    }


def _half_digits(n_queries: int) -> Data:
    """Upper halves of digits; the lower halves are the targets."""
    from sklearn.datasets import load_digits

    images = load_digits(return_X_y=True)[0]
    upper = np.ascontiguousarray(images[:, :32])
    return {"corpus": upper[::2], "y": images[::2, 32:], "queries": upper[1::2][:n_queries]}


def _diabetes(n_queries: int) -> Data:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return {"corpus": X[::2], "y": y[::2], "queries": X[1::2][:n_queries]}


def _faiss(data: Data, *, k: int, weights: str, question: str) -> Any:
    indices, shares = search_with_faiss(data, k, weights)
    targets = data["y"][indices]  # [n_queries, k] or [n_queries, k, n_outputs]
    if weights == "uniform":
        return targets.mean(1)
    shares /= shares.sum(1, keepdims=True)
    return np.einsum("qk,qk...->q...", shares, targets)


_race = partial(vote_race, estimator=ESTIMATOR, with_faiss=_faiss)


def _surface_race(name: str, queries: int, samples: int, features: int, **options: Any) -> Race:
    outputs = options.pop("n_outputs", 1)
    return _race(
        name,
        partial(_surface, queries, samples, features, outputs),
        axes={**sizes(queries, samples, features, 10), "n_outputs": outputs},
        **options,
    )


def _real_race(
    name: str, data: Any, of: tuple[int, int, int], outputs: int, **options: Any
) -> Race:
    """Real data in float64, which faiss does not know; `of` queries, samples and features."""
    axes = {**sizes(*of, k=5), "n_outputs": outputs}
    options |= {"peers": ("sklearn-auto",), "dtype": "float64"}
    return _race(name, partial(data, of[0]), axes=axes, **options)


RACES = (
    _real_race(
        "digits",
        _half_digits,
        (898, 899, 32),
        32,
        why="real data in float64: the lower half of a digit from its upper half",
    ),
    _real_race(
        "diabetes-distance",
        _diabetes,
        (221, 221, 10),
        1,
        why="real data in float64, small, targets weighed by distance",
        weights="distance",
    ),
    _real_race(
        "one-by-one",
        _half_digits,
        (200, 899, 32),
        32,
        why="a call for each of 200 queries: what a call costs",
        question="predict-each",
    ),
    _surface_race("large", 10_000, 100_000, 32, why="a batch against a large corpus"),
    _surface_race(
        "many-targets",
        10_000,
        20_000,
        64,
        n_outputs=10,
        why="ten outputs, weighed by distance",
        weights="distance",
    ),
    _surface_race(
        "low-dimension",
        50_000,
        50_000,
        3,
        why="three features: what a k-d tree is made for",
        peers=("sklearn-auto", "sklearn-brute", "faiss-flat"),
    ),
)


def growth(n_samples: int) -> Race:
    """A thousand queries against a corpus of `n_samples`: linear in time, flat in memory."""
    why = "time and memory over the size of the corpus"
    return _surface_race(f"growth-{n_samples}", 1_000, n_samples, 32, why=why)
