# pyright: reportArgumentType=false, reportCallIssue=false
"""The implementation on a device: a fixed chain of kernels an iteration, and no waiting.

An iteration is: search (half precision), resolve (the rows in doubt), move (rows that changed),
centres, report. The host reads the report while the next search runs already: with the same
labels it would find nothing new, and after the last iteration it is the search that makes the
labels match the centres. Only an empty cluster makes a search in vain.
"""

import importlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_room import Room
from onetrip.ops.kmeans.device_search import Search
from onetrip.ops.kmeans.device_sums import Sums
from onetrip.ops.kmeans.exact_sums import reduced
from onetrip.ops.kmeans.kernel_update_triton import _kmeans_inertia_kernel, _kmeans_total_kernel
from onetrip.ops.kmeans.lloyd import Solution, averages
from onetrip.ops.kmeans.points import Points
from onetrip.tile.launches import blocks, next_power

_WIDEST = 128
# Terms of the inertia that a program adds up.
_TOTALLED = 1024
# impl -> module and what makes its search.
_SEARCHES: Mapping[str, tuple[str, str]] = {
    "triton": ("device_search", "Search"),
    "gluon": ("gluon_impl", "hopper_search"),
}


class Reading:
    """Copies of the report on their way to the host, one at a time."""

    def __init__(self, report: Tensor) -> None:
        self._report = report
        self._values = torch.empty_like(report, device="cpu", pin_memory=report.is_cuda)
        self._event = torch.cuda.Event() if report.is_cuda else None

    def begin(self) -> "Reading":
        """Copy the report as it is when the device comes to it."""
        self._values.copy_(self._report, non_blocking=True)
        if self._event is not None:
            self._event.record()
        return self

    def values(self) -> list[float]:
        """The numbers, when they have arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.tolist()


@dataclass(frozen=True, slots=True)
class Step:
    """An iteration that is launched: from centres and their labels to the means of these.

    `before` [N] are the labels of the iteration before, `labels` of `centers`, `following` of
    `after`; the next iteration writes its last labels over `before`.
    """

    centers: Tensor
    before: Tensor
    labels: Tensor
    after: Tensor
    following: Tensor
    reading: Reading


class Iterations:
    """Launches iterations on a device, and takes back one that was launched in vain."""

    def __init__(self, points: Points, search: Search, clusters: int, spherical: bool) -> None:
        self.points, self.search, self.spherical = points, search, spherical
        self.sums = Sums(points, clusters, search.moved, search.block_r, search.launch)
        # Of an iteration and of the one ahead of it.
        self._readings = itertools.cycle([Reading(search.report) for _ in range(2)])

    def launch(self, centers: Tensor, before: Tensor, labels: Tensor, following: Tensor) -> Step:
        """Take `labels` into the sums, and search for the labels of the new means."""
        self.sums.follow(before, labels)
        after = torch.empty_like(centers)
        self.search.aim(after, centers, self.sums)
        step = Step(centers, before, labels, after, following, next(self._readings).begin())
        if not self.spherical:
            self.search.label(after, following)
        return step

    def launch_after(self, step: Step) -> Step:
        """The iteration that follows `step`."""
        return self.launch(step.after, step.labels, step.following, step.before)

    def by_host(self, step: Step, ahead: Step | None) -> tuple[Step, float]:
        """`step` with centres that the host makes, and the square of their movement.

        Directions have unit length, and an empty cluster takes the farthest row.
        """
        if ahead is not None:
            self.sums.follow(step.following, step.labels)
        copies = (tensor.clone() for tensor in self.sums.over_processes())
        after = averages(self.points, *copies, step.centers, step.labels, self.spherical)
        self.search.count.zero_()
        self.search.aim(after, step.centers)
        shift_square = Reading(self.search.report).begin().values()[0]
        self.search.label(after, step.following)
        return replace(step, after=after), shift_square


def lloyd_on_device(
    points: Points,
    centers: Tensor,
    impl: str,
    config: Config,
    certified: bool,
    *,
    max_iter: int,
    tol: float,
    spherical: bool,
    room: Room | None = None,
) -> Solution:
    """`lloyd` for float32 on a device; arguments, order of events and bits are the same.

    `room` is for the search, where the host has made it already.
    """
    with torch.no_grad(), torch.cuda.device_of(points.x):
        file, name = _SEARCHES[impl]
        make: Callable[..., Search] = getattr(
            importlib.import_module(f"onetrip.ops.kmeans.{file}"), name
        )
        search = make(points, centers, config, certified=certified, spherical=spherical, room=room)
        found = _iterate(search, centers, max_iter=max_iter, tol=tol, spherical=spherical)
        inertia = _inertia(search, found.centers, found.labels)
        doubtful = found.doubtful if max_iter else float(search.count.sum())
    return Solution(
        found.centers,
        found.labels,
        inertia * 0.5 if spherical else inertia,
        found.n_iter,
        doubtful / (max(1, found.n_iter) * points.x.shape[0]),
    )


class Found(NamedTuple):
    """What iterations ended with.

    `doubtful` are rows of the searches whose reports the host has read: to ask for the last one
    would be to wait for it.
    """

    centers: Tensor
    labels: Tensor
    n_iter: int
    doubtful: float


def _iterate(
    search: Search, centers: Tensor, *, max_iter: int, tol: float, spherical: bool
) -> Found:
    """Iterations until labels or centres stay, or there were enough of them."""
    points = search.points
    before, labels, following = search.labels
    search.aim(centers, centers)
    search.label(centers, labels)
    # Made ready while the device searches.
    before.fill_(-1)
    iterations = Iterations(points, search, centers.shape[0], spherical)
    n_iter, doubtful = 0, 0.0
    step = iterations.launch(centers, before, labels, following) if max_iter else None
    while step is not None:
        n_iter += 1
        alone = spherical or n_iter == max_iter
        ahead = None if alone else iterations.launch_after(step)
        shift_square, lightest, moved, in_doubt = step.reading.values()
        doubtful += in_doubt
        iterations.sums.expect(moved)
        if moved == 0.0:
            break
        if spherical or lightest == 0.0:
            step, shift_square = iterations.by_host(step, ahead)
            ahead = None
        centers, labels = step.after, step.following
        if n_iter == max_iter or shift_square <= tol * points.variance:
            break
        step = ahead or iterations.launch_after(step)
    return Found(centers, labels, n_iter, doubtful)


def _inertia(search: Search, centers: Tensor, labels: Tensor) -> Tensor:
    """Weighted sum of squared distances to the own centre, in float64, exact for these terms.

    `exact_total` without a wait; limits and residues, which nobody needs now, make room.
    """
    points, block_r = search.points, search.block_r
    (N, D), weight = points.x.shape, points.weight
    total = torch.zeros(1, dtype=torch.float64, device=centers.device)
    terms = search.free_rows()
    search.launch(
        _kmeans_inertia_kernel, blocks(N, block_r),
        points.x, total if weight is None else weight, centers, labels, terms, N, D,
        HAS_WEIGHT=weight is not None, BLOCK_N=block_r,
        BLOCK_D=min(_WIDEST, next_power(D)),
    )  # fmt: skip
    about = reduced(terms.sum(0, keepdim=True), dist.ReduceOp.SUM, points.group)
    search.launch(
        _kmeans_total_kernel, blocks(N, _TOTALLED), terms, about, total, N, BLOCK_N=_TOTALLED
    )
    return reduced(total, dist.ReduceOp.SUM, points.group)[0]
