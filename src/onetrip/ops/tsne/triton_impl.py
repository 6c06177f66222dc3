"""The descent of t-SNE by kernels: three launches an iteration, and the host waits for none."""

import math
from typing import Any

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.tsne import kernel_tiles, plan
from onetrip.ops.tsne import kernel_triton as kernels
from onetrip.ops.tsne.triton_affinities import KernelAffinities

# Samples of a program that moves them.
_STEP_BLOCK = 256
# A point that is so far from all others pushes none, and its square is still finite.
_FAR_AWAY = 1e18


class KernelWalk:
    """An embedding on the device, with momentum and gains, moved by kernels.

    Coordinates are kept twice: in planes y [M, stride], which the push streams, and point by point
    [N, 1, 2 or 4], which the pull gathers.

    Parameters
    ----------
    x : Tensor [N, D]
    start : Tensor [N, M]
    rate : learning rate.
    perplexity : effective number of neighbours.
    memory_budget : bytes for lists of neighbours; None for the default.
    config : "BLOCK_I", "BLOCK_J" and "num_warps" of the push, and "splits", programs that share
        the columns of a block of rows where there are many.
    """

    def __init__(
        self,
        x: Tensor,
        start: Tensor,
        rate: float,
        perplexity: float,
        memory_budget: int | None,
        config: Config,
    ) -> None:
        with torch.cuda.device_of(x):
            self._affinities = KernelAffinities(x, perplexity, memory_budget)
        self._N, self._M = start.shape
        self._rate = rate
        self._stride = self._affinities.stride
        self._factor = 4.0 if self._M < 3 else 3.0  # 2 (f + 1) / f, f degrees of freedom
        self._width = (0, 1, 2, 4)[self._M]
        self._planes = start.new_full((self._M, self._stride), _FAR_AWAY)
        self._planes[:, : self._N] = start.T
        self._points = start.new_zeros(self._N, self._width)
        self._points[:, : self._M] = start
        self._columns, splits = plan.push_columns(self._N, config["splits"], config["BLOCK_J"])
        self._push_grid = (-(-self._N // config["BLOCK_I"]), splits)
        names = ("BLOCK_I", "BLOCK_J", "num_warps")
        self._push_tile: dict[str, Any] = {"M": self._M} | {name: config[name] for name in names}
        self._step_grid = (-(-self._N // _STEP_BLOCK), self._M)
        self._pull = torch.empty_like(self._planes)
        self._push = start.new_empty(splits, self._M, self._stride)
        self._shares = start.new_empty(math.prod(self._push_grid))
        self._squares = start.new_empty(math.prod(self._step_grid))
        self._p_log_t = start.new_empty(self._N)
        if self._affinities.tiles is not None:
            strips = plan.sides(self._N)
            self._of_rows = start.new_empty(plan.PULL_PARTS, self._M, self._stride)
            self._of_columns = start.new_empty(strips, self._M, self._stride)
            self._p_log_t = start.new_empty(plan.PULL_PARTS * (-(-strips // 2)))
        self._exaggeration = 1.0
        self.rest()

    def rest(self) -> None:
        """Forget momentum and gains."""
        self._update = torch.zeros_like(self._planes)
        self._gains = torch.ones_like(self._planes)

    def step(self, exaggeration: float, momentum: float, wanted: bool) -> None:
        """Move once."""
        self._exaggeration = exaggeration
        with torch.cuda.device_of(self._planes):
            self._push_all()
            self._pull_all(wanted)
            self._move(exaggeration, momentum, wanted)

    def look(self) -> tuple[float, float]:
        """Divergence at the last step's start, and norm of the gradient that it followed."""
        sums = torch.stack(
            [part.sum(dtype=torch.float64) for part in (self._shares, self._p_log_t, self._squares)]
        )
        normaliser, p_log_t, square = sums.tolist()
        found = self._affinities
        shift = math.log(self._exaggeration) + math.log(normaliser)
        divergence = self._exaggeration * (found.neg_entropy + shift * found.mass - p_log_t)
        return divergence, math.sqrt(square)

    def embedding(self) -> Tensor:
        """Where the samples are, [N, M]."""
        return self._planes[:, : self._N].T.contiguous()

    def forces(self, exaggeration: float) -> tuple[Tensor, float]:
        """Gradient [N, M] where the samples are, and the divergence, without a move."""
        with torch.cuda.device_of(self._planes):
            self._push_all()
            self._pull_all(True)
        self._exaggeration = exaggeration
        self._squares.zero_()
        push = self._push.sum(0) / self._shares.sum(dtype=torch.float64)
        gradient = self._factor * (exaggeration * self._pull - push)
        return gradient[:, : self._N].T.contiguous(), self.look()[0]

    def _push_all(self) -> None:
        kernels._tsne_push_kernel[self._push_grid](
            self._planes,
            self._push,
            self._shares,
            self._N,
            self._stride,
            self._columns,
            **self._push_tile,
        )

    def _pull_all(self, wanted: bool) -> None:
        found = self._affinities
        if found.tiles is not None:
            self._pull_by_tiles(found.tiles, wanted)
            return
        options: dict[str, Any] = found.row | {"M": self._M, "WANTED": wanted}
        if found.lists is not None:
            options |= {"BLOCK": plan.LIST_BLOCK, "num_warps": 1}
            kernels._tsne_pull_kernel[found.row_grid(0, self._N)](
                self._planes,
                self._points,
                self._pull,
                self._p_log_t,
                found.lists.start,
                found.lists.index,
                found.lists.p,
                self._N,
                self._stride,
                **options,
            )
            return
        for begin, end, d in found.strips():
            kernels._tsne_pull_all_kernel[found.row_grid(begin, end)](
                self._planes,
                self._points,
                self._pull,
                self._p_log_t,
                d,
                found.beta,
                found.log_sum,
                begin,
                self._N,
                self._stride,
                **options,
            )

    def _pull_by_tiles(self, tiles: Tensor, wanted: bool) -> None:
        strips = plan.sides(self._N)
        tile: dict[str, Any] = {"M": self._M, "SIDE": plan.SIDE}
        pull: dict[str, Any] = tile | {"WANTED": wanted} | kernel_tiles.PULL
        add: dict[str, Any] = tile | {"STRIPS": kernel_tiles.STRIPS}
        kernel_tiles._tsne_pull_tiles_kernel[(-(-strips // 2), plan.PULL_PARTS)](
            self._planes,
            tiles,
            self._of_rows,
            self._of_columns,
            self._p_log_t,
            strips,
            self._stride,
            **pull,
        )
        kernel_tiles._tsne_pulled_kernel[(strips, self._M)](
            self._of_rows,
            self._of_columns,
            self._pull,
            self._stride,
            plan.PULL_PARTS,
            **add,
        )

    def _move(self, exaggeration: float, momentum: float, wanted: bool) -> None:
        options: dict[str, Any] = {"WIDTH": self._width, "LOOKS": wanted, "BLOCK": _STEP_BLOCK}
        kernels._tsne_step_kernel[self._step_grid](
            self._planes,
            self._points,
            self._update,
            self._gains,
            self._pull,
            self._push,
            self._shares,
            self._squares,
            self._N,
            self._stride,
            self._shares.numel(),
            self._push_grid[1],
            self._factor,
            exaggeration,
            momentum,
            self._rate,
            **options,
        )
