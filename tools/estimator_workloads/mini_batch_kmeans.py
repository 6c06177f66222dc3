"""Races of MiniBatchKMeans: the same start, the same number of batches of the same size.

Early stopping is off: it depends on which samples were drawn, and so would the time. Names differ
from those of KMeans, whose lines of `results/` lie in the same file.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.kmeans import _blobs, _digits, _normal
from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "kmeans"
ESTIMATOR = "MiniBatchKMeans"


def _library(name: str) -> Any:
    if name == OURS:
        from onetrip.cluster import MiniBatchKMeans
    else:
        from sklearn.cluster import MiniBatchKMeans
    return MiniBatchKMeans


def _answer(model: Any, samples: np.ndarray) -> Any:
    return model.cluster_centers_, model.predict(samples[:500]), -float(model.score(samples))


def _fit(data: Data, *, library: str, batch: int, passes: int) -> Any:
    model = _library(library)(
        len(data["start"]),
        init=data["start"],
        n_init=1,
        batch_size=batch,
        max_iter=passes,
        max_no_improvement=None,
        random_state=0,
    )
    return _answer(model.fit(data["samples"]), data["samples"])


def _stream(data: Data, *, library: str, batch: int, passes: int) -> Any:
    model = _library(library)(
        len(data["start"]), init=data["start"], n_init=1, compute_labels=False, random_state=0
    )
    samples = data["samples"]
    for _ in range(passes):
        for begin in range(0, len(samples), batch):
            model.partial_fit(samples[begin : begin + batch])
    return _answer(model, samples)


def _check(data: Data, answers: Mapping[str, Any]) -> None:
    """Labels are the nearest of the centres, which are as good as scikit-learn's of one draw."""
    samples = data["samples"][:500].astype(np.float64)
    centers, labels, inertia = answers[OURS]
    distances = ((samples[:, None] - centers.astype(np.float64)) ** 2).sum(2)
    if not np.array_equal(distances.argmin(1), labels):
        raise AssertionError("labels are not the nearest of the centres")
    theirs = answers["sklearn"][2]
    if inertia > 1.03 * theirs:
        raise AssertionError(f"inertia {inertia}, scikit-learn's is {theirs}")


def _race(
    name: str,
    make: Any,
    sizes: tuple[int, int, int],
    batch: int,
    passes: int,
    why: str,
    solve: Any = _fit,
) -> Race:
    samples, features, clusters = sizes
    return Race(
        name=name,
        axes={
            "n_samples": samples,
            "n_features": features,
            "n_clusters": clusters,
            "batch_size": batch,
            "n_passes": passes,
        },
        why=why,
        make=partial(make, *sizes),
        contenders={
            library: partial(solve, library=library, batch=batch, passes=passes)
            for library in (OURS, "sklearn")
        },
        check=_check,
    )


RACES = (
    _race("batches-digits", _digits, (1797, 64, 10), 256, 10, "real data, small: calls count"),
    _race("batches-few", _normal, (100_000, 16, 8), 1024, 2, "small batches of few clusters"),
    _race("batches-hundred", _blobs, (200_000, 32, 100), 4096, 2, "clusters that are there"),
    _race("batches-wide", _normal, (50_000, 128, 256), 4096, 3, "no clusters: the product counts"),
    _race(
        "batches-stream", _blobs, (200_000, 32, 64), 10_000, 2, "partial_fit over chunks", _stream
    ),
)


def growth(n_samples: int) -> Race:
    """Sixteen blobs of sixteen features, two passes by batches of a thousand."""
    why = "time and memory over the number of samples"
    return _race(f"growth-{n_samples}", _blobs, (n_samples, 16, 16), 1024, 2, why)
