# pyright: reportArgumentType=false, reportCallIssue=false
"""The implementation on a device: a fixed chain of kernels an iteration, and no waiting.

An iteration is: search (half precision), resolve (the rows in doubt), move (rows that changed),
centres, report. The host reads the report while the next search runs already: with the same
labels it would find nothing new, and after the last iteration it is the search that makes the
labels match the centres. Only an empty cluster makes a search in vain.
"""

import importlib
from collections.abc import Mapping

import torch
import triton
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_search import Search
from onetrip.ops.kmeans.device_sums import Sums
from onetrip.ops.kmeans.exact_sums import exact_total
from onetrip.ops.kmeans.kernel_update_triton import _kmeans_inertia_kernel
from onetrip.ops.kmeans.lloyd import Solution, averages
from onetrip.ops.kmeans.points import Points

_WIDEST = 128
# impl -> module, class of its search.
_SEARCHES: Mapping[str, tuple[str, str]] = {
    "triton": ("device_search", "Search"),
    "gluon": ("gluon_impl", "HopperSearch"),
}


class Reading:
    """A copy of the report on its way to the host."""

    def __init__(self, report: Tensor) -> None:
        self._event = None
        if report.is_cuda:
            self._values = torch.empty(report.shape, dtype=report.dtype, pin_memory=True)
            self._values.copy_(report, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._values = report.clone()

    def values(self) -> list[float]:
        """The numbers, when they have arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.tolist()


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
) -> Solution:
    """`lloyd` for float32 on a device; arguments, order of events and bits are the same."""
    with torch.no_grad(), torch.cuda.device_of(points.x):
        N, K = points.x.shape[0], centers.shape[0]
        file, name = _SEARCHES[impl]
        make: type[Search] = getattr(importlib.import_module(f"onetrip.ops.kmeans.{file}"), name)
        search = make(points, centers, config, certified=certified, spherical=spherical)
        sums = Sums(points, K, search.moved, search.block_r)
        labels, before = torch.full((2, N), -1, dtype=torch.int32, device=centers.device).unbind()
        search.aim(centers, centers)
        search.label(centers, labels)
        n_iter, doubtful, searches, settled = 0, 0.0, 1, False
        while n_iter < max_iter:
            n_iter += 1
            sums.follow(before, labels)
            after = torch.empty_like(centers)
            search.aim(after, centers, sums)
            reading = Reading(search.report)
            if not spherical:
                search.label(after, before)
            shift_square, lightest, moved, in_doubt = reading.values()
            doubtful += in_doubt
            settled = moved == 0.0
            sums.expect(moved)
            if settled:
                break
            if spherical or lightest == 0.0:
                copies = (tensor.clone() for tensor in sums.over_processes())
                after = averages(points, *copies, centers, labels, spherical)
                search.count.zero_()
                search.aim(after, centers)
                shift_square = Reading(search.report).values()[0]
                search.label(after, before)
            searches += 1
            centers, labels, before = after, before, labels
            if shift_square <= tol * points.variance:
                break
        if not settled:
            doubtful += float(search.count.sum())
        inertia = _inertia(points, centers, labels, search.block_r)
    return Solution(
        centers, labels, inertia * 0.5 if spherical else inertia, n_iter, doubtful / (searches * N)
    )


def _inertia(points: Points, centers: Tensor, labels: Tensor, block_r: int) -> Tensor:
    """Weighted sum of squared distances to the own centre, in float64, exact for these terms."""
    N, D = points.x.shape
    per_row = torch.empty(N, dtype=torch.float64, device=centers.device)
    _kmeans_inertia_kernel[(triton.cdiv(N, block_r),)](
        points.x, centers, labels, per_row, N, D,
        BLOCK_N=block_r, BLOCK_D=min(_WIDEST, triton.next_power_of_2(D)),
    )  # fmt: skip
    if points.weight is not None:
        per_row *= points.weight
    return exact_total(per_row, points.group)
