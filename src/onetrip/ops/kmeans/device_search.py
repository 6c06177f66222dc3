# pyright: reportArgumentType=false, reportCallIssue=false
"""Nearest centres on a device: what half precision needs to know of rows and centres, and who."""

import math

import torch
import triton
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.device_points import residues
from onetrip.ops.kmeans.device_sums import Sums
from onetrip.ops.kmeans.kernel_resolve_triton import (
    _kmeans_doubts_kernel,
    _kmeans_pairs_kernel,
    _kmeans_resolve_kernel,
    _kmeans_settle_kernel,
)
from onetrip.ops.kmeans.kernel_triton import BEYOND, MOST_HELD, _kmeans_nearest_kernel
from onetrip.ops.kmeans.kernel_update_triton import (
    _kmeans_centers_kernel,
    _kmeans_report_kernel,
    _kmeans_rows_kernel,
)
from onetrip.ops.kmeans.launches import Launches
from onetrip.ops.kmeans.points import Points

# Norms are scaled to 2^13 at most: sums of squares stay below 2^16, the end of half precision.
_TOP = 13
# Columns of a tile of the second search, and the programs that share its rows.
_RESOLVE_COLUMNS = 64
# Rows that it takes at a time: they read the centres once. AMD's registers hold half as many.
_RESOLVED = 32 if torch.version.hip is None else 16
# Columns come in pairs of tiles of 64, in which the kernel for Hopper takes them.
_COLUMNS = 128
_RESOLVERS = 1024
# Rows of a program that lists those in doubt.
_LISTED = 1024
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
        self._launch = Launches()
        self.points, self.safety = points, _SAFETY if certified else 0.0
        self.held = D <= MOST_HELD
        width = max(16, triton.next_power_of_2(D))
        self.width = width if self.held else triton.cdiv(D, _WIDEST) * _WIDEST
        self.block_r, self.together = config["BLOCK_R"], bool(config.get("TOGETHER", 0))
        self.config = {
            **{name: config[name] for name in _OF_SEARCH},
            "BLOCK_K": min(config["BLOCK_K"], max(16, triton.next_power_of_2(K))),
            "BLOCK_D": self.width if self.held else config["BLOCK_D"],
        }
        step = math.lcm(self.config["BLOCK_K"], _COLUMNS)
        self.columns = triton.cdiv(K, step) * step
        norms = (points.norm.max(), (start - points.offset).norm(dim=1).max(), points.offset.norm())
        norms = torch.stack(norms)
        self._allocate(N, K, D)  # while the device still computes them
        of_rows, of_start, of_offset = norms.tolist()
        self.scale = _scale(of_rows)
        # A mean of rows is no longer than they are; taken to unit length, it may be by this.
        of_means = of_rows + 2.0 * of_offset if spherical else of_rows
        self.center_scale = _scale(max(of_means, of_start))
        if points.lost is not None:
            residues(points.lost, D, self.scale, out=self.residue)
            return
        self._launch(
            _kmeans_rows_kernel, triton.cdiv(N, self.block_r),
            points.centred, points.norm, self.residue, self.scale, N, D,
            BLOCK_N=self.block_r, BLOCK_D=min(_WIDEST, self.width),
        )  # fmt: skip

    def _allocate(self, N: int, K: int, D: int) -> None:
        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=self.points.x.device)

        self.residue, self.limit = empty(2, N).unbind()
        self.doubt, self.pair, self.other = empty(3, N, dtype=torch.int32).unbind()
        self.half = empty(self.columns, self.width, dtype=torch.float16).zero_()
        self.level = empty(self.columns).fill_(BEYOND)
        self.center_norm, self.center_residue = empty(K), empty(K)
        self.step = empty(K, dtype=torch.float64)
        self.reach = empty(4)
        self.report = empty(4, dtype=torch.float64)
        counters = empty(3, dtype=torch.int32).zero_()
        self.count, self.moved = counters[:2], counters[2]

    def aim(self, centers: Tensor, before: Tensor, sums: Sums | None = None) -> None:
        """Get ready for `centers` [K, D], which come from `before`, and tell the report.

        With `sums` they are written here: the mean of each cluster.
        """
        K, D = centers.shape
        block_k = self.block_r // 4
        terms, totals = (before, before) if sums is None else sums.over_processes()
        self._launch(
            _kmeans_centers_kernel, triton.cdiv(K, block_k),
            terms, totals, before, self.points.offset, centers, self.half, self.level,
            self.center_norm, self.center_residue, self.step, self.center_scale,
            self.scale / self.center_scale, self.bias, K, D, self.width,
            FROM_SUMS=sums is not None, BLOCK_K=block_k, BLOCK_D=min(_WIDEST, self.width),
        )  # fmt: skip
        lightest = self.step if sums is None else totals
        self._launch(
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
        self._launch(
            _kmeans_nearest_kernel, triton.cdiv(N, config["BLOCK_N"]),
            points.centred, points.norm, self.residue, self.half, self.level, self.reach, labels,
            self.limit, self.other, self.scale,
            N, D, self.columns // config["BLOCK_K"], self.width,
            HOLD_X=self.held, **config,
        )  # fmt: skip

    def _settle(self, centers: Tensor, labels: Tensor) -> None:
        """Decide the rows in doubt in float64."""
        points = self.points
        N, D = points.x.shape
        self._launch(
            _kmeans_doubts_kernel, triton.cdiv(N, _LISTED),
            self.other, self.pair, self.doubt, self.count, N, BLOCK_N=_LISTED,
        )  # fmt: skip
        block_r, block_m = max(_RESOLVED, self.block_r), min(_WIDEST, self.width)
        of_pairs, of_open = (
            min(_RESOLVERS, triton.cdiv(N, rows)) for rows in (self.block_r, block_r)
        )
        sizes = (self.scale, centers.shape[0], D, self.columns // _RESOLVE_COLUMNS, self.width)
        options = {
            "HOLD_X": self.held, "BLOCK_R": block_r, "BLOCK_K": _RESOLVE_COLUMNS,
            "BLOCK_D": self.width if self.held else _WIDEST, "BLOCK_M": block_m,
            "num_warps": 8, "num_stages": 3,
        }  # fmt: skip
        of_search = points.centred, points.x, centers, self.half, self.level
        if self.together:
            self._launch(
                _kmeans_settle_kernel, of_open + of_pairs,
                *of_search, self.doubt, self.pair, self.other, self.limit, self.count, labels,
                *sizes, of_open, BLOCK_P=self.block_r, **options,
            )  # fmt: skip
            return
        self._launch(
            _kmeans_pairs_kernel, of_pairs,
            points.x, centers, self.pair, self.other, self.count, labels, D,
            BLOCK_R=self.block_r, BLOCK_D=block_m, num_warps=4,
        )  # fmt: skip
        self._launch(
            _kmeans_resolve_kernel, of_open,
            *of_search, self.doubt, self.limit, self.count, labels, *sizes, **options,
        )  # fmt: skip


def _scale(norm: float) -> float:
    """The power of two that takes a largest norm to 2^13 or just below."""
    if not 0.0 < norm < math.inf:
        return 1.0
    return 2.0 ** max(-60, min(60, _TOP - math.ceil(math.log2(norm))))
