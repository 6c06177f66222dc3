"""Races of hdbscan: the whole clustering, and the spanning tree alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race
from onetrip.cluster import HDBSCAN
from onetrip.ops.hdbscan.reference import make_inputs

_MIN_SAMPLES = 5
_MIN_CLUSTER_SIZE = 25


def _make(N: int, D: int, data: str) -> Inputs:
    x = make_inputs({"N": N, "D": D}, dtype=torch.float32, data=data)["x"].cuda()
    return {"x": x, "truth": []}


def _onetrip(inputs: Inputs) -> Any:
    return HDBSCAN(min_cluster_size=_MIN_CLUSTER_SIZE, min_samples=_MIN_SAMPLES).fit(inputs["x"])


def _tree(inputs: Inputs) -> Any:
    return onetrip.hdbscan(inputs["x"], min_samples=_MIN_SAMPLES)


def _flashlib(inputs: Inputs) -> Any:
    # It does not count the sample itself.
    return primitive("hdbscan").flash_hdbscan(
        inputs["x"],
        min_cluster_size=_MIN_CLUSTER_SIZE,
        min_samples=_MIN_SAMPLES - 1,
        approximate=False,
    )


def _errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """How far labels, or weights of the tree, are from those that a CPU decides in float64."""
    if isinstance(answer, tuple):
        expected = _truth(inputs, lambda x: onetrip.hdbscan(x, min_samples=_MIN_SAMPLES)[0])
        difference = (answer[0].cpu() - expected).abs() / expected.clamp_min(1e-30)
        return {"disagreement": float(difference.max())}
    from sklearn.metrics import adjusted_rand_score

    labels = answer.labels_.cpu() if hasattr(answer, "labels_") else answer
    truth = _truth(inputs, lambda x: _onetrip({"x": x}).labels_)
    return {"disagreement": 1.0 - float(adjusted_rand_score(truth, np.asarray(labels)))}


def _truth(inputs: Inputs, decide: Callable[[Any], Any]) -> Any:
    """The CPU's answer, once for all contenders: it takes half a minute."""
    if not inputs["truth"]:
        inputs["truth"].append(decide(inputs["x"].cpu()))
    return inputs["truth"][0]


def _unchecked(inputs: Inputs, answer: Any) -> dict[str, float]:
    return {}


def _clustering(name: str, N: int, D: int) -> Race:
    return Race(
        name,
        {"N": N, "D": D},
        partial(_make, N, D, "blobs"),
        {"onetrip": _onetrip, "flashlib": _flashlib},
        _errors,
        {"disagreement": 1e-5},
        is_operator=False,
    )


def _spanning_tree(name: str, N: int, D: int, data: str, *, checked: bool = True) -> Race:
    return Race(
        f"{name}-tree",
        {"N": N, "D": D},
        partial(_make, N, D, data),
        {"onetrip": _tree},
        _errors if checked else _unchecked,
        {"disagreement": 1e-5} if checked else {},
    )


RACES = (
    _clustering("50k-32", 50_000, 32),
    _clustering("100k-16", 100_000, 16),
    _spanning_tree("50k-32", 50_000, 32, "blobs"),
    _spanning_tree("50k-32-random", 50_000, 32, "random"),
    _spanning_tree("100k-16", 100_000, 16, "blobs"),
    # N x N of it would be 4 TB, and a tree on a CPU takes minutes.
    _spanning_tree("1m-16", 1_000_000, 16, "blobs", checked=False),
)
