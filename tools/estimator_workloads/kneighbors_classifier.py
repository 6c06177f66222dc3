"""Races of KNeighborsClassifier: fit, and predict or predict_proba, beside scikit-learn and faiss.

faiss has no classifier: NumPy counts the votes of what it finds. It knows float32 only, so it is
left out where the samples are float64; and where each query is a call, as a search without checks
of what it is given is no estimator.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "kneighbors"
ESTIMATOR = "KNeighborsClassifier"

# Queries whose last neighbour ties with the next: either class is right. No more than these.
_MOST_TIED_SHARE = 0.1


def clusters(n_queries: int, n_samples: int, n_features: int, n_classes: int) -> Data:
    """Draw normal clusters that overlap; each class is several of them."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((3 * n_classes, n_features), dtype=np.float32)
    owner = generator.integers(len(centres), size=n_samples + n_queries)
    X = generator.standard_normal((len(owner), n_features), dtype=np.float32)
    X += 1.5 * centres[owner]
    y = owner % n_classes
    return {
        "corpus": X[:n_samples],
        "y": y[:n_samples],
        "queries": X[n_samples:],
    }


def digits(n_queries: int) -> Data:
    """Half of the digits in float64, asked about some of the other half."""
    from sklearn.datasets import load_digits

    images, y = load_digits(return_X_y=True)
    return {"corpus": images[::2], "y": y[::2], "queries": images[1::2][:n_queries]}


def _answer(model: Any, data: Data, question: str) -> Any:
    """What a fitted model is asked: all queries at once, or one call each ("predict-each")."""
    if question == "predict-each":
        rows = [model.predict(data["queries"][i : i + 1]) for i in range(len(data["queries"]))]
        return np.concatenate(rows)
    return getattr(model, question)(data["queries"])


def _solve(data: Data, *, estimator: str, library: str, k: int, weights: str, question: str) -> Any:
    """The answer of an estimator of this name, ours or scikit-learn's by one of its algorithms."""
    options: dict[str, Any] = {"weights": weights}
    if library != OURS:
        options |= {"algorithm": library.removeprefix("sklearn-"), "n_jobs": 2}
    package = "onetrip" if library == OURS else "sklearn"
    made = getattr(importlib.import_module(f"{package}.neighbors"), estimator)
    model = made(k, **options)
    return _answer(model.fit(data["corpus"], data["y"]), data, question)


def search_with_faiss(data: Data, k: int, weights: str) -> tuple[Any, Any]:
    """Indices and weights of the neighbours of all queries, [n_queries, k]."""
    import faiss  # pyright: ignore[reportMissingImports]

    index = faiss.IndexFlatL2(data["corpus"].shape[1])
    index.add(data["corpus"].astype(np.float32, copy=False))
    squares, indices = index.search(data["queries"].astype(np.float32, copy=False), k)
    if weights == "uniform":
        return indices, np.ones(squares.shape)
    # A distance of exactly 0, which this divides by, is none of the races'.
    return indices, 1.0 / np.sqrt(squares.astype(np.float64))


def _faiss(data: Data, *, k: int, weights: str, question: str) -> Any:
    classes, codes = np.unique(data["y"], return_inverse=True)
    indices, shares = search_with_faiss(data, k, weights)
    votes = np.zeros((len(indices), len(classes)))
    np.add.at(votes, (np.arange(len(indices))[:, None], codes[indices]), shares)
    if question == "predict":
        return classes[votes.argmax(1)]
    return votes / votes.sum(1, keepdims=True)


def _check(data: Data, answers: Mapping[str, Any], *, k: int, rtol: float) -> None:
    """Ours is scikit-learn's answer, but where the last neighbour ties with the next in float64."""
    ours, theirs = answers[OURS], answers["sklearn-auto"]
    if ours.shape != theirs.shape:
        raise AssertionError(f"shape {ours.shape}, that of scikit-learn's is {theirs.shape}")
    same = np.isclose(ours, theirs, rtol=rtol, atol=rtol).reshape(len(ours), -1).all(1)
    others = np.flatnonzero(~same)
    if len(others) > _MOST_TIED_SHARE * len(same):
        raise AssertionError(f"{len(others)} of {len(same)} answers are not scikit-learn's")
    corpus = data["corpus"].astype(np.float64)
    for row in others:
        distances = np.sort(((corpus - data["queries"][row].astype(np.float64)) ** 2).sum(1))
        if distances[k] > distances[k - 1] * (1.0 + 1e-12):
            raise AssertionError(f"query {row}: {ours[row]}, scikit-learn says {theirs[row]}")


def vote_race(
    name: str,
    make: Any,
    why: str,
    *,
    estimator: str,
    with_faiss: Callable[..., Any],
    axes: Mapping[str, int],
    weights: str = "uniform",
    question: str = "predict",
    peers: tuple[str, ...] = ("sklearn-auto", "faiss-flat"),
    dtype: str = "float32",
) -> Race:
    """A race of an estimator of this name; `with_faiss` makes its answer of what faiss finds."""
    k = axes["n_neighbors"]
    asked = {"k": k, "weights": weights, "question": question}
    return Race(
        name=name,
        axes=axes,
        why=why,
        make=make,
        contenders={
            library: partial(with_faiss, **asked)
            if library == "faiss-flat"
            else partial(_solve, estimator=estimator, library=library, **asked)
            for library in (OURS, *peers)
        },
        check=partial(_check, k=k, rtol=1e-6),
        dtype=dtype,
    )


_race = partial(vote_race, estimator=ESTIMATOR, with_faiss=_faiss)


def sizes(queries: int, samples: int, features: int, k: int) -> dict[str, int]:
    """The axes of a race, by their words."""
    return {
        "n_queries": queries,
        "n_samples": samples,
        "n_features": features,
        "n_neighbors": k,
    }


def _clusters_race(name: str, queries: int, samples: int, features: int, **options: Any) -> Race:
    classes, k = options.pop("n_classes", 10), options.pop("k", 10)
    return _race(
        name,
        partial(clusters, queries, samples, features, classes),
        axes={**sizes(queries, samples, features, k), "n_classes": classes},
        **options,
    )


def _digits_race(name: str, queries: int, **options: Any) -> Race:
    axes = {**sizes(queries, 899, 64, 5), "n_classes": 10}
    options |= {"peers": ("sklearn-auto",), "dtype": "float64"}
    return _race(name, partial(digits, queries), axes=axes, **options)


RACES = (
    _digits_race("digits", 898, why="real data in float64, one vote a neighbour"),
    _digits_race(
        "digits-distance",
        898,
        why="the same, votes weighed by distance, probabilities",
        weights="distance",
        question="predict_proba",
    ),
    _digits_race(
        "one-by-one",
        200,
        why="a call for each of 200 queries: what a call costs",
        question="predict-each",
    ),
    _clusters_race("large", 10_000, 100_000, 32, why="a batch against a large corpus"),
    _clusters_race(
        "many-classes",
        5_000,
        20_000,
        64,
        n_classes=500,
        why="five hundred classes: the probabilities are the largest array",
        question="predict_proba",
    ),
    _clusters_race(
        "low-dimension",
        50_000,
        50_000,
        3,
        n_classes=5,
        why="three features: what a k-d tree is made for",
        peers=("sklearn-auto", "sklearn-brute", "faiss-flat"),
    ),
)


def growth(n_samples: int) -> Race:
    """A thousand queries against a corpus of `n_samples`: linear in time, flat in memory."""
    why = "time and memory over the size of the corpus"
    return _clusters_race(f"growth-{n_samples}", 1_000, n_samples, 32, why=why)
