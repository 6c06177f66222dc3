"""From made-ready samples and a start to a solution: which implementation, and its run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from onetrip.core import selection
from onetrip.core.selection import Config, Problem
from onetrip.ops.kmeans import select
from onetrip.ops.kmeans.few_lloyd import lloyd_of_few
from onetrip.ops.kmeans.lloyd import Solution, lloyd
from onetrip.ops.kmeans.movement import worth_bounds
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.tile_search import MOST_CENTERS
from onetrip.ops.kmeans.torch_impl import TorchAssigner
from onetrip.ops.kmeans.workers import rows_workers
from onetrip.tile.problem import problem_on

if TYPE_CHECKING:
    from onetrip.ops.kmeans.device_room import Room


def problem_of(x: Tensor, clusters: int, options: Mapping[str, object]) -> Problem:
    """What `select.py` is asked about samples [N, D] and a number of clusters."""
    axes = {"N": x.shape[-2], "D": x.shape[-1], "K": clusters}
    return problem_on(x.device, axes, x.dtype, options)


def resolve(impl: str, problem: Problem) -> tuple[str, Config]:
    """The implementation that runs, and its configuration; a named one runs or raises."""
    return selection.resolve(select.OPERATOR, select, impl, problem)


def room_for(impl: str, config: Config, x: Tensor, clusters: int) -> "Room | None":
    """Memory that an implementation for devices needs for samples [N, D], not taken yet."""
    if impl not in ("triton", "gluon"):
        return None
    from onetrip.ops.kmeans.device_room import Room

    return Room(x.device, x.shape[0], clusters, x.shape[1], config)


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
    room: "Room | None" = None,
) -> Solution:
    """Run Lloyd's iterations from `centers` [K, D]; ``max_iter=0`` labels the rows and no more."""
    spherical, certified = metric == "cosine", precision == "certified"
    is_few = certified and not spherical and is_of_few(points, centers)
    if is_few and impl in ("auto", "torch"):
        start = centers.to(points.x.dtype).contiguous()
        with rows_workers(points.x) as workers:
            return lloyd_of_few(points, start, workers, max_iter=max_iter, tol=tol)
    if config is None:
        # No iteration: one process of several may hold fewer samples than there are clusters.
        impl, config = resolve(impl, problem_of(points.x, centers.shape[0], {"max_iter": 0}))
    start = centers.to(points.x.dtype).contiguous()
    if spherical:
        start = F.normalize(start, dim=1)
    stop = {"max_iter": max_iter, "tol": tol, "spherical": spherical}
    if impl in ("triton", "gluon"):
        from onetrip.ops.kmeans.triton_impl import lloyd_on_device

        return lloyd_on_device(points, start, impl, config, certified, room=room, **stop)
    with torch.no_grad(), rows_workers(points.x) as workers:
        assigner = TorchAssigner(points, centers.shape[0], config, certified)
        return lloyd(points, start, assigner, workers, **stop)


def is_of_few(points: Points, centers: Tensor) -> bool:
    """Whether there are so few centres, and products, that a search of all rows is fastest."""
    if points.group is not None or not points.x.is_cpu or centers.shape[0] > MOST_CENTERS:
        return False
    N, D = points.x.shape
    return not worth_bounds(N, D, centers.shape[0])
