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
from onetrip.core.tuning import override
from onetrip.ops.hdbscan import select
from onetrip.ops.hdbscan.reference import make_inputs

_MIN_SAMPLES = 5
_MIN_CLUSTER_SIZE = 25
# Samples that are checked of a million, and nearest of each that are looked at; rows at once.
_SOME = 100
_CANDIDATES = 12
_ROWS = 64


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
    """How far weights of the tree, or labels, are from those of sums of differences in float64."""
    if isinstance(answer, tuple):
        expected = _truth(inputs, lambda x: onetrip.hdbscan(x, min_samples=_MIN_SAMPLES)[0])
        difference = (answer[0] - expected).abs() / expected.clamp_min(1e-30)
        return {"disagreement": float(difference.max())}
    from sklearn.metrics import adjusted_rand_score

    labels = answer.labels_.cpu() if hasattr(answer, "labels_") else answer
    truth = _truth(inputs, lambda x: _onetrip({"x": x}).labels_.cpu())
    return {"disagreement": 1.0 - float(adjusted_rand_score(truth, np.asarray(labels)))}


def _truth(inputs: Inputs, decide: Callable[[Any], Any]) -> Any:
    """What sums of differences answer in float64, once for all contenders."""
    if not inputs["truth"]:
        with override("hdbscan", "triton", select.sums_of_differences(double=True)):
            inputs["truth"].append(decide(inputs["x"].double()))
    return inputs["truth"][0]


def _errors_of_some(inputs: Inputs, answer: Any) -> dict[str, float]:
    """How far the first merges of some samples are from their nearest reachability in float64.

    The lightest edge of every point is one of any minimum spanning tree.
    """
    if isinstance(answer, tuple):
        weight, ends = answer
        weight, ends = weight.double(), torch.stack([ends["source"], ends["target"]])
    else:
        rows = torch.from_numpy(answer.single_linkage_tree_.to_numpy())
        weight, ends = rows[:, 2].to(inputs["x"].device), rows[:, :2].T.long()
    N = inputs["x"].shape[0]
    ends = ends.to(weight.device)
    of_node = weight.new_full((2 * N,), torch.inf)
    of_node.scatter_reduce_(0, ends.reshape(-1), weight.repeat(2), "amin")
    some = torch.arange(0, N, N // _SOME, device=weight.device)
    expected = _truth(inputs, lambda x: _nearest_reach(x, some))
    return {"disagreement": float(((of_node[some] - expected).abs() / expected).max())}


def _nearest_reach(x: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
    """Least mutual reachability of some samples with any other, from distances to all."""
    near, place = _nearest(x, some)
    core = _nearest(x, place.reshape(-1))[0][:, _MIN_SAMPLES - 1].view_as(place)
    # The first of the nearest is the sample itself.
    reach = torch.maximum(near, torch.maximum(core, core[:, :1]))[:, 1:].amin(1)
    if bool((reach > near[:, -1]).any()):
        raise AssertionError("what is beyond the nearest may be reached sooner")
    return reach


def _nearest(x: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = [
        torch.cdist(x[part], x, compute_mode="donot_use_mm_for_euclid_dist").topk(
            _CANDIDATES, largest=False
        )
        for part in rows.split(_ROWS)
    ]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def _clustering(name: str, N: int, D: int, errors: Any = _errors) -> Race:
    contenders = {"onetrip": _onetrip} | ({"flashlib": _flashlib} if errors is _errors else {})
    return Race(
        name,
        {"N": N, "D": D},
        partial(_make, N, D, "blobs"),
        contenders,
        errors,
        {"disagreement": 1e-5},
        runs="HDBSCAN",
    )


def _spanning_tree(name: str, N: int, D: int, data: str, errors: Any = _errors) -> Race:
    return Race(
        f"{name}-tree",
        {"N": N, "D": D},
        partial(_make, N, D, data),
        {"onetrip": _tree},
        errors,
        {"disagreement": 1e-5},
    )


RACES = (
    _clustering("50k-32", 50_000, 32),
    _clustering("100k-16", 100_000, 16),
    # Sizes of embeddings.
    _clustering("50k-128", 50_000, 128),
    _clustering("50k-256", 50_000, 256),
    # N x N of it would be 4 TB: no peer runs it, and some samples are checked.
    _clustering("1m-16", 1_000_000, 16, _errors_of_some),
    _spanning_tree("50k-32", 50_000, 32, "blobs"),
    _spanning_tree("50k-32-random", 50_000, 32, "random"),
    _spanning_tree("50k-128", 50_000, 128, "blobs"),
    _spanning_tree("50k-256", 50_000, 256, "blobs"),
    _spanning_tree("100k-16", 100_000, 16, "blobs"),
    _spanning_tree("1m-16", 1_000_000, 16, "blobs", _errors_of_some),
)
