# pyright: reportArgumentType=false, reportCallIssue=false
"""Nearest centres on a device: what half precision needs to know of rows and centres, and who."""

import math

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_points import below_halves
from onetrip.ops.kmeans.device_room import WIDEST, Room
from onetrip.ops.kmeans.device_sums import Sums
from onetrip.ops.kmeans.kernel_resolve_triton import (
    _kmeans_doubts_kernel,
    _kmeans_resolve_kernel,
)
from onetrip.ops.kmeans.kernel_triton import _kmeans_nearest_kernel
from onetrip.ops.kmeans.kernel_update_triton import (
    _kmeans_begin_kernel,
    _kmeans_centers_kernel,
    _kmeans_report_kernel,
    _kmeans_rows_kernel,
)
from onetrip.ops.kmeans.points import Points
from onetrip.tile.launches import blocks, launches_for

# Norms are scaled to 2^13 at most: sums of squares stay below 2^16, the end of half precision.
_TOP = 13
# Columns of a tile of the second search, and the programs that share its rows.
_RESOLVE_COLUMNS = 64
# Rows that it takes at a time, which read the centres once, and warps: of rows of up to 128
# features, and of longer ones. AMD's registers hold less.
_RESOLVED = ((64, 8), (32, 4)) if torch.version.hip is None else ((16, 4), (16, 4))
# Features of them and of a centre that are measured at a time.
_MEASURED = 32
_RESOLVERS = 1024
# Rows of a program that looks for those in doubt, and pairs that it decides at a time.
_LISTED, _PAIRED, _LIST_WARPS = 1024, 8, 4
# Rows of a program where a search begins.
_BEGUN = 1024
# Two scores are compared, each off by its bound; 1 % covers what rounding does to the bound.
_SAFETY = 2.02


class Search:
    """Labels of all rows for given centres; what half precision needs to know of both.

    Attributes
    ----------
    report : Tensor [4], float64, squared step of all centres, weight of the lightest, rows that
        changed, rows in doubt; since the last report
    labels : list of Tensor [N], int32, room for labels of three iterations
    bias : float, what every score carries beside half the square of its centre
    """

    bias = 0.0

    def __init__(
        self, points: Points, start: Tensor, config: Config, *, certified: bool, spherical: bool,
        room: Room | None = None,
    ) -> None:  # fmt: skip
        N, (K, D) = points.x.shape[0], start.shape
        self.launch = launches_for(
            N, K, D, *config.items(), points.x, points.centred, points.offset, points.norm,
            points.weight, start,
        )  # fmt: skip
        self.points, self.safety = points, _SAFETY if certified else 0.0
        self.block_r = config["BLOCK_R"]
        room = (room or Room(points.x.device, N, K, D, config)).fill()
        self.held, self.width, self.columns = room.held, room.width, room.columns
        self.config, self.labels = room.config, room.labels
        self._of_rows, self.residue, self.limit = room.of_rows, room.residue, room.limit
        self.doubt, self.pair, self.other = room.doubt, room.pair, room.other
        self.half, self.level, self.reach = room.half, room.level, room.reach
        self.center_norm, self.center_residue = room.center_norm, room.center_residue
        self.step, self.report = room.step, room.report
        self.count, self.moved = room.count, room.moved
        longest = points.norm.max().item() if points.longest is None else points.longest
        self.scale = _scale(longest)
        # A mean of rows is no longer than they are; taken to unit length, it may be by this.
        means = longest + 2.0 * points.offset.norm().item() if spherical else longest
        # The host does not ask for the start's length: a device finds it, and scales by it.
        self.longest, self.longest_mean = room.longest, means
        lost = points.lost
        self.launch(
            _kmeans_begin_kernel, blocks(N, _BEGUN),
            self.residue if lost is None else lost, self.residue, start, points.offset,
            self.longest, self.scale, below_halves(D, self.scale), N, K, D,
            HAS_LOST=lost is not None, BLOCK_N=_BEGUN, BLOCK_K=self.block_r,
            BLOCK_D=min(WIDEST, self.width),
        )  # fmt: skip
        if lost is not None:
            return
        self.launch(
            _kmeans_rows_kernel, blocks(N, self.block_r),
            points.centred, points.norm, self.residue, self.scale, N, D,
            BLOCK_N=self.block_r, BLOCK_D=min(WIDEST, self.width),
        )  # fmt: skip

    def free_rows(self) -> Tensor:
        """Room for a float64 a row [N], for who searches no more."""
        return self._of_rows.view(torch.float64)

    def aim(self, centers: Tensor, before: Tensor, sums: Sums | None = None) -> None:
        """Get ready for `centers` [K, D], which come from `before`, and tell the report.

        With `sums` they are written here: the mean of each cluster.
        """
        K, D = centers.shape
        block_k = self.block_r // 4
        terms, totals = (before, before) if sums is None else sums.over_processes()
        self.launch(
            _kmeans_centers_kernel, blocks(K, block_k),
            terms, totals, before, self.points.offset, centers, self.half, self.level,
            self.center_norm, self.center_residue, self.step, self.longest, self.longest_mean,
            self.scale, self.bias, K, D, self.width,
            FROM_SUMS=sums is not None, BLOCK_K=block_k, BLOCK_D=min(WIDEST, self.width),
        )  # fmt: skip
        lightest = self.step if sums is None else totals
        self.launch(
            _kmeans_report_kernel, 1,
            lightest, self.level, self.center_norm, self.center_residue, self.step, self.count,
            self.moved, self.reach, self.report, self.safety, K, D, BLOCK_K=1024, num_warps=4,
        )  # fmt: skip

    def label(self, centers: Tensor, labels: Tensor) -> None:
        """Write the numbers of the nearest of `centers`, which `aim` has seen, to `labels` [N]."""
        self.find(labels)
        self._settle(centers, labels)

    def find(self, labels: Tensor) -> None:
        """Write `labels` [N] as half precision tells, and list the rows in doubt."""
        points, config = self.points, self.config
        N, D = points.x.shape
        self.launch(
            _kmeans_nearest_kernel, blocks(N, config["BLOCK_N"]),
            points.centred, points.norm, self.residue, self.half, self.level, self.reach, labels,
            self.limit, self.other, self.scale,
            N, D, self.columns // config["BLOCK_K"], self.width,
            HOLD_X=self.held, **config,
        )  # fmt: skip

    def _settle(self, centers: Tensor, labels: Tensor) -> None:
        """Decide the rows in doubt in float64."""
        points = self.points
        N, D = points.x.shape
        listed = max(_LISTED, self.block_r)
        self.launch(
            _kmeans_doubts_kernel, blocks(N, listed),
            points.x, centers, self.other, self.pair, self.doubt, self.count, labels, N, D,
            BLOCK_N=listed, BLOCK_R=max(_PAIRED, self.block_r // 2),
            BLOCK_D=min(WIDEST, self.width), num_warps=_LIST_WARPS,
        )  # fmt: skip
        rows, warps = _RESOLVED[self.width > WIDEST]
        block_r = max(rows, self.block_r)
        self.launch(
            _kmeans_resolve_kernel, min(_RESOLVERS, blocks(N, block_r)),
            points.centred, points.x, centers, self.half, self.level, self.doubt, self.limit,
            self.count, labels, self.scale, centers.shape[0], D, self.columns // _RESOLVE_COLUMNS,
            self.width,
            HOLD_X=self.held, BLOCK_R=block_r, BLOCK_K=_RESOLVE_COLUMNS,
            BLOCK_D=self.width if self.held else WIDEST, BLOCK_M=min(_MEASURED, self.width),
            num_warps=warps, num_stages=3,
        )  # fmt: skip


def _scale(norm: float) -> float:
    """The power of two that takes a largest norm to 2^13 or just below."""
    if not 0.0 < norm < math.inf:
        return 1.0
    return 2.0 ** max(-60, min(60, _TOP - math.ceil(math.log2(norm))))
