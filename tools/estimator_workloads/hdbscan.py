"""Races of HDBSCAN: labels of samples in the plane, in space, and of digits."""

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "hdbscan"
ESTIMATOR = "HDBSCAN"

_MIN_CLUSTER_SIZE = 10
# As scikit-learn counts; the hdbscan library does not count the sample itself.
_MIN_SAMPLES = 6


def _blobs(n_samples: int, n_features: int) -> Data:
    from sklearn.datasets import make_blobs

    drawn = make_blobs(n_samples, n_features, centers=20, cluster_std=1.5, random_state=0)
    return {"X": drawn[0]}


def _digits() -> Data:
    from sklearn.datasets import load_digits

    return {"X": load_digits(return_X_y=True)[0]}


def _onetrip(data: Data) -> Any:
    from onetrip.cluster import HDBSCAN

    return HDBSCAN(min_cluster_size=_MIN_CLUSTER_SIZE, min_samples=_MIN_SAMPLES).fit_predict(
        data["X"]
    )


def _sklearn(data: Data) -> Any:
    from sklearn.cluster import HDBSCAN

    given: Any = {"min_samples": _MIN_SAMPLES, "n_jobs": 2, "copy": True}
    model = HDBSCAN(min_cluster_size=_MIN_CLUSTER_SIZE, **given)
    return model.fit_predict(data["X"])


def _hdbscan(data: Data) -> Any:
    library: Any = importlib.import_module("hdbscan")
    model = library.HDBSCAN(
        min_cluster_size=_MIN_CLUSTER_SIZE, min_samples=_MIN_SAMPLES - 1, core_dist_n_jobs=2
    )
    return model.fit_predict(data["X"])


def _check(data: Data, answers: Mapping[str, Any]) -> None:
    """Our clusters are scikit-learn's, up to samples that hang on equal weights."""
    from sklearn.metrics import adjusted_rand_score

    ours = answers[OURS]
    peer = "scikit-learn" if "scikit-learn" in answers else "hdbscan"
    score = adjusted_rand_score(answers[peer], ours)
    if score < 0.999:
        raise AssertionError(f"adjusted Rand index {score:.4f} with the labels of {peer}")


def _race(name: str, shape: tuple[int, int], why: str, make: Any, peers: tuple[str, ...]) -> Race:
    functions = {"scikit-learn": _sklearn, "hdbscan": _hdbscan}
    return Race(
        name,
        {"n_samples": shape[0], "n_features": shape[1]},
        why,
        make,
        {OURS: _onetrip, **{peer: functions[peer] for peer in peers}},
        _check,
        dtype="float64",
    )


_BOTH = ("scikit-learn", "hdbscan")

RACES = (
    _race(
        "plane-10k",
        (10_000, 2),
        "twenty groups in the plane: a tree of boxes rules out nearly every pair",
        partial(_blobs, 10_000, 2),
        _BOTH,
    ),
    _race(
        "plane-50k",
        (50_000, 2),
        "the same, where an algorithm that visits all pairs takes twenty-five times as long",
        partial(_blobs, 50_000, 2),
        _BOTH,
    ),
    _race(
        "space-20k-16",
        (20_000, 16),
        "sixteen features: boxes overlap, products of matrices pay",
        partial(_blobs, 20_000, 16),
        _BOTH,
    ),
    _race(
        "space-10k-64",
        (10_000, 64),
        "embeddings: trees rule out little",
        partial(_blobs, 10_000, 64),
        _BOTH,
    ),
    _race("digits", (1797, 64), "real data with many equal distances", _digits, _BOTH),
)


def growth(n_samples: int) -> Race:
    """The problem in the plane at any size."""
    return _race("growth", (n_samples, 2), "growth", partial(_blobs, n_samples, 2), ())
