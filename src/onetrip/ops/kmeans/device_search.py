# pyright: reportArgumentType=false, reportCallIssue=false
"""Nearest centres on a device: what half precision needs to know of rows and centres, and who."""

import math

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_points import residues
from onetrip.ops.kmeans.device_sums import Sums
from onetrip.ops.kmeans.kernel_resolve_triton import (
    _kmeans_doubts_kernel,
    _kmeans_resolve_kernel,
)
from onetrip.ops.kmeans.kernel_triton import BEYOND, MOST_HELD, _kmeans_nearest_kernel
from onetrip.ops.kmeans.kernel_update_triton import (
    _kmeans_centers_kernel,
    _kmeans_longest_kernel,
    _kmeans_report_kernel,
    _kmeans_rows_kernel,
)
from onetrip.ops.kmeans.launches import blocks, launches_for, next_power
from onetrip.ops.kmeans.points import Points

# Norms are scaled to 2^13 at most: sums of squares stay below 2^16, the end of half precision.
_TOP = 13
# Columns of a tile of the second search, and the programs that share its rows.
_RESOLVE_COLUMNS = 64
# Rows that it takes at a time: they read the centres once. AMD's registers hold half as many.
_RESOLVED = 32 if torch.version.hip is None else 16
# Features of them and of a centre that are measured at a time.
_MEASURED = 32
# Columns come in pairs of tiles of 64, in which the kernel for Hopper takes them.
_COLUMNS = 128
_RESOLVERS = 1024
_RESOLVE_WARPS, _RESOLVE_STAGES = 4, 3
# Rows of a program that looks for those in doubt, and pairs that it decides at a time.
_LISTED, _PAIRED, _LIST_WARPS = 1024, 8, 4
_WIDEST = 128
# Two scores are compared, each off by its bound; 1 % covers what rounding does to the bound.
_SAFETY = 2.02
_OF_SEARCH = ("BLOCK_N", "num_warps", "num_stages")


class Search:
    """Labels of all rows for given centres; what half precision needs to know of both.

    Attributes
    ----------
    report : Tensor [4], float64, squared step of all centres, weight of the lightest, rows that
        changed, rows in doubt; since the last report
    bias : float, what every score carries beside half the square of its centre
    """

    bias = 0.0

    def __init__(
        self, points: Points, start: Tensor, config: Config, *, certified: bool, spherical: bool
    ) -> None:
        N, (K, D) = points.x.shape[0], start.shape
        self.launch = launches_for(
            N, K, D, *config.items(), points.x, points.centred, points.offset, points.norm,
            points.weight, start,
        )  # fmt: skip
        self.points, self.safety = points, _SAFETY if certified else 0.0
        self.held = D <= MOST_HELD
        width = max(16, next_power(D))
        self.width = width if self.held else blocks(D, _WIDEST) * _WIDEST
        self.block_r = config["BLOCK_R"]
        self.config = {
            **{name: config[name] for name in _OF_SEARCH},
            "BLOCK_K": min(config["BLOCK_K"], max(16, next_power(K))),
            "BLOCK_D": self.width if self.held else config["BLOCK_D"],
        }
        step = math.lcm(self.config["BLOCK_K"], _COLUMNS)
        self.columns = blocks(K, step) * step
        self._allocate(N, K, D)
        longest = points.norm.max().item() if points.longest is None else points.longest
        self.scale = _scale(longest)
        # A mean of rows is no longer than they are; taken to unit length, it may be by this.
        means = longest + 2.0 * points.offset.norm().item() if spherical else longest
        # The host does not ask for it: a device raises it to the start's, and scales by it.
        self.longest = self.reach.new_full((1,), means).view(torch.int32)
        self.launch(
            _kmeans_longest_kernel, blocks(K, self.block_r),
            start, points.offset, self.longest, K, D,
            BLOCK_K=self.block_r, BLOCK_D=min(_WIDEST, self.width),
        )  # fmt: skip
        if points.lost is not None:
            residues(points.lost, D, self.scale, out=self.residue)
            return
        self.launch(
            _kmeans_rows_kernel, blocks(N, self.block_r),
            points.centred, points.norm, self.residue, self.scale, N, D,
            BLOCK_N=self.block_r, BLOCK_D=min(_WIDEST, self.width),
        )  # fmt: skip

    def _allocate(self, N: int, K: int, D: int) -> None:
        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=self.points.x.device)

        self._of_rows = empty(2 * N)
        self.residue, self.limit = self._of_rows[:N], self._of_rows[N:]
        self.doubt, self.pair, self.other = empty(3, N, dtype=torch.int32).unbind()
        self.half = empty(self.columns, self.width, dtype=torch.float16).zero_()
        self.level = empty(self.columns).fill_(BEYOND)
        self.center_norm, self.center_residue = empty(K), empty(K)
        self.step = empty(K, dtype=torch.float64)
        self.reach = empty(4)
        self.report = empty(4, dtype=torch.float64)
        counters = empty(3, dtype=torch.int32).zero_()
        self.count, self.moved = counters[:2], counters[2]

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
            self.center_norm, self.center_residue, self.step, self.longest,
            self.scale, self.bias, K, D, self.width,
            FROM_SUMS=sums is not None, BLOCK_K=block_k, BLOCK_D=min(_WIDEST, self.width),
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
            BLOCK_D=min(_WIDEST, self.width), num_warps=_LIST_WARPS,
        )  # fmt: skip
        block_r = max(_RESOLVED, self.block_r)
        self.launch(
            _kmeans_resolve_kernel, min(_RESOLVERS, blocks(N, block_r)),
            points.centred, points.x, centers, self.half, self.level, self.doubt, self.limit,
            self.count, labels, self.scale, centers.shape[0], D, self.columns // _RESOLVE_COLUMNS,
            self.width,
            HOLD_X=self.held, BLOCK_R=block_r, BLOCK_K=_RESOLVE_COLUMNS,
            BLOCK_D=self.width if self.held else _WIDEST, BLOCK_M=min(_MEASURED, self.width),
            num_warps=_RESOLVE_WARPS, num_stages=_RESOLVE_STAGES,
        )  # fmt: skip


def _scale(norm: float) -> float:
    """The power of two that takes a largest norm to 2^13 or just below."""
    if not 0.0 < norm < math.inf:
        return 1.0
    return 2.0 ** max(-60, min(60, _TOP - math.ceil(math.log2(norm))))
