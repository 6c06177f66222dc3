"""From made-ready samples and a start to a solution: which implementation, and its run."""

import importlib
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from onetrip.core import selection
from onetrip.core.selection import Config, Problem
from onetrip.ops.kmeans import select
from onetrip.ops.kmeans.lloyd import Assigner, Solution, lloyd
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.workers import rows_workers
from onetrip.tile.problem import problem_on

# impl -> module, class of its assigner.
_ASSIGNERS: Mapping[str, tuple[str, str]] = {
    "torch": ("torch_impl", "TorchAssigner"),
    "triton": ("triton_impl", "TritonAssigner"),
}


def problem_of(x: Tensor, clusters: int, options: Mapping[str, object]) -> Problem:
    """What `select.py` is asked about samples [N, D] and a number of clusters."""
    axes = {"N": x.shape[-2], "D": x.shape[-1], "K": clusters}
    return problem_on(x.device, axes, x.dtype, options)


def resolve(impl: str, problem: Problem) -> tuple[str, Config]:
    """The implementation that runs, and its configuration; a named one runs or raises."""
    return selection.resolve(select.OPERATOR, select, impl, problem)


def solve(
    points: Points,
    centers: Tensor,
    *,
    max_iter: int,
    tol: float,
    metric: str = "euclidean",
    precision: str = "certified",
    impl: str = "auto",
    config: Config | None = None,
) -> Solution:
    """Run Lloyd's iterations from `centers` [K, D]; ``max_iter=0`` labels the rows and no more."""
    if config is None:
        # No iteration: one process of several may hold fewer samples than there are clusters.
        impl, config = resolve(impl, problem_of(points.x, centers.shape[0], {"max_iter": 0}))
    file, name = _ASSIGNERS[impl]
    make: Callable[..., Assigner] = getattr(
        importlib.import_module(f"onetrip.ops.kmeans.{file}"), name
    )
    spherical = metric == "cosine"
    start = centers.to(points.x.dtype).contiguous()
    if spherical:
        start = F.normalize(start, dim=1)
    with torch.no_grad(), rows_workers(points.x) as workers:
        assigner = make(points, centers.shape[0], config, precision == "certified")
        return lloyd(
            points, start, assigner, workers, max_iter=max_iter, tol=tol, spherical=spherical
        )
