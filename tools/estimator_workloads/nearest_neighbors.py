"""Races of NearestNeighbors: k nearest neighbours by Euclidean distance."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "kneighbors"
ESTIMATOR = "NearestNeighbors"

_CHECKED_ROWS = 200


def _normal(n_queries: int, n_samples: int, n_features: int) -> Data:
    generator = np.random.default_rng(0)
    corpus = generator.standard_normal((n_samples, n_features), dtype=np.float32)
    queries = generator.standard_normal((n_queries, n_features), dtype=np.float32)
    return {"corpus": corpus, "queries": queries}


def _digits() -> Data:
    from sklearn.datasets import load_digits

    images, _ = load_digits(return_X_y=True)
    images = np.asarray(images, dtype=np.float32)
    return {"corpus": images, "queries": images}


def _onetrip(data: Data, *, k: int) -> Any:
    from onetrip.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k).fit(data["corpus"])
    return model.kneighbors(data["queries"])


def _sklearn(data: Data, *, k: int, algorithm: str) -> Any:
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k, algorithm=algorithm, n_jobs=2).fit(data["corpus"])
    return model.kneighbors(data["queries"])


def _faiss(data: Data, *, k: int) -> Any:
    import faiss  # pyright: ignore[reportMissingImports]

    index = faiss.IndexFlatL2(data["corpus"].shape[1])
    index.add(data["corpus"])
    return index.search(data["queries"], k)


def _check(data: Data, answers: Mapping[str, Any], *, k: int) -> None:
    """Our distances are those of a float64 search, row by row, for rows spread over all."""
    queries, corpus = data["queries"], data["corpus"].astype(np.float64)
    rows = np.unique(np.linspace(0, len(queries) - 1, _CHECKED_ROWS).astype(int))
    distances, indices = answers[OURS]
    for row in rows:
        true = ((corpus - queries[row].astype(np.float64)) ** 2).sum(1)
        nearest = np.argsort(true, kind="stable")[:k]
        if not np.array_equal(np.sort(true[indices[row]]), np.sort(true[nearest])):
            raise AssertionError(f"row {row}: {indices[row]} are not the nearest, {nearest} are")
        np.testing.assert_allclose(distances[row], np.sqrt(true[indices[row]]), rtol=1e-6)


def _race(name: str, queries: int, samples: int, features: int, k: int, why: str) -> Race:
    make = _digits if name == "digits" else partial(_normal, queries, samples, features)
    return Race(
        name=name,
        axes={
            "n_queries": queries,
            "n_samples": samples,
            "n_features": features,
            "n_neighbors": k,
        },
        why=why,
        make=make,
        contenders={
            OURS: partial(_onetrip, k=k),
            "sklearn-brute": partial(_sklearn, k=k, algorithm="brute"),
            "sklearn-auto": partial(_sklearn, k=k, algorithm="auto"),
            "faiss-flat": partial(_faiss, k=k),
        },
        check=partial(_check, k=k),
    )


RACES = (
    _race("digits", 1797, 1797, 64, 5, "real data, integers with many near ties"),
    _race("square", 20_000, 20_000, 64, 10, "every sample asks: as much selection as product"),
    _race("wide", 2_000, 100_000, 128, 10, "a batch of queries against a large corpus"),
    _race("one", 1, 1_000_000, 128, 1, "one query: the corpus is read once, at bandwidth"),
    _race("many-neighbors", 5_000, 50_000, 16, 64, "few features, many neighbours: selection"),
    _race("low-dimension", 50_000, 50_000, 3, 10, "three features: what a k-d tree is made for"),
)


def growth(n_samples: int) -> Race:
    """A thousand queries against a corpus of `n_samples`: linear in time, flat in memory."""
    why = "time and memory over the size of the corpus"
    return _race(f"growth-{n_samples}", 1_000, n_samples, 32, 10, why)
