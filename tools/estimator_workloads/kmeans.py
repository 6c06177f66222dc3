"""Races of KMeans: the same start, the same number of iterations at most.

faiss takes part where the start is given. It has no tolerance and does not see that labels stay,
so it always takes all iterations; an empty cluster gets half of a large one; and its labels are
those of float32 products.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "kmeans"
ESTIMATOR = "KMeans"


def _normal(n_samples: int, n_features: int, n_clusters: int) -> Data:
    generator = np.random.default_rng(0)
    samples = generator.standard_normal((n_samples, n_features), dtype=np.float32)
    return {"samples": samples, "start": samples[:n_clusters].copy()}


def _blobs(n_samples: int, n_features: int, n_clusters: int) -> Data:
    generator = np.random.default_rng(0)
    centers = generator.uniform(-10, 10, (n_clusters, n_features)).astype(np.float32)
    labels = generator.integers(n_clusters, size=n_samples)
    noise = generator.standard_normal((n_samples, n_features), dtype=np.float32)
    samples = centers[labels] + 2 * noise
    return {"samples": samples, "start": samples[:n_clusters].copy()}


def _digits(n_samples: int, n_features: int, n_clusters: int) -> Data:
    from sklearn.datasets import load_digits

    samples = np.asarray(load_digits(return_X_y=True)[0], dtype=np.float32)
    assert samples.shape == (n_samples, n_features)
    return {"samples": samples, "start": samples[:n_clusters].copy()}


_MAX_ITER = 20


def _answer(model: Any) -> Any:
    return model.labels_, model.cluster_centers_, float(model.inertia_), model.n_iter_


def _onetrip(data: Data, *, drawn: bool) -> Any:
    from onetrip.cluster import KMeans

    init = "k-means++" if drawn else data["start"]
    model = KMeans(len(data["start"]), init=init, n_init=1, max_iter=_MAX_ITER, random_state=0)
    return _answer(model.fit(data["samples"]))


def _sklearn(data: Data, *, drawn: bool, algorithm: str) -> Any:
    from sklearn.cluster import KMeans

    init = "k-means++" if drawn else data["start"]
    options: dict[str, Any] = {"init": init, "n_init": 1, "max_iter": _MAX_ITER, "random_state": 0}
    model = KMeans(len(data["start"]), algorithm=algorithm, **options)
    return _answer(model.fit(data["samples"]))


def _faiss(data: Data) -> Any:
    import faiss  # type: ignore[import-not-found]

    samples, start = data["samples"], data["start"]
    clusters, features = start.shape
    options = {"niter": _MAX_ITER, "nredo": 1, "min_points_per_centroid": 1}
    # All samples: by default it draws 256 a cluster.
    model = faiss.Kmeans(features, clusters, max_points_per_centroid=len(samples), **options)
    model.train(samples, init_centroids=start)
    squares, labels = model.index.search(samples, 1)
    return labels[:, 0], model.centroids, float(squares.sum(dtype=np.float64)), _MAX_ITER


def _check(data: Data, answers: Mapping[str, Any], *, drawn: bool) -> None:
    """Our labels are those of a float64 search, our inertia is no worse than scikit-learn's."""
    samples = data["samples"].astype(np.float64)
    labels, centers, inertia, n_iter = answers[OURS]
    rows = np.unique(np.linspace(0, len(samples) - 1, 500).astype(int))
    distances = ((samples[rows, None] - centers.astype(np.float64)) ** 2).sum(2)
    if not np.array_equal(distances.argmin(1), labels[rows]):
        raise AssertionError("labels are not the nearest of the returned centres")
    _, _, theirs, their_n_iter = answers["sklearn-lloyd"]
    # One drawn start is worse or better than another by several per cent, in either library.
    allowed = 1.1 if drawn else 1.0 + 1e-4
    if inertia > allowed * theirs:
        raise AssertionError(f"inertia {inertia}, scikit-learn's is {theirs}")
    if not drawn and n_iter > their_n_iter + 1:
        raise AssertionError(f"{n_iter} iterations, scikit-learn took {their_n_iter}")


def _race(
    name: str, make: Any, samples: int, features: int, clusters: int, why: str, drawn: bool = False
) -> Race:
    contenders: dict[str, Callable[[Data], Any]] = {
        OURS: partial(_onetrip, drawn=drawn),
        "sklearn-lloyd": partial(_sklearn, drawn=drawn, algorithm="lloyd"),
        "sklearn-elkan": partial(_sklearn, drawn=drawn, algorithm="elkan"),
    }
    if not drawn:  # It has no k-means++.
        contenders["faiss"] = _faiss
    return Race(
        name=name,
        axes={"n_samples": samples, "n_features": features, "n_clusters": clusters},
        why=why,
        make=partial(make, samples, features, clusters),
        contenders=contenders,
        check=partial(_check, drawn=drawn),
    )


RACES = (
    _race("digits", _digits, 1797, 64, 10, "real data, small: calls count"),
    _race("few", _normal, 100_000, 16, 8, "few clusters: everything but the product counts"),
    _race("hundred", _blobs, 200_000, 32, 100, "clusters that are there"),
    _race("wide", _normal, 50_000, 128, 256, "no clusters to be found: nothing can be left out"),
    _race("codebook", _normal, 20_000, 256, 1024, "a codebook: the product counts"),
    _race("seeded", _blobs, 50_000, 32, 64, "with k-means++, as by default", drawn=True),
)


def growth(n_samples: int) -> Race:
    """Sixteen blobs of sixteen features at any number of samples."""
    why = "time and memory over the number of samples"
    return _race(f"growth-{n_samples}", _blobs, n_samples, 16, 16, why)
