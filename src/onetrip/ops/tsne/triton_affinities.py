"""What the descent by kernels knows of x: widths, and lists of the neighbours that count."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from onetrip.ops.tsne import kernel_affinities as kernels
from onetrip.ops.tsne import plan

# Sums over all samples are in float32: entropies are right to about this.
_TOLERANCE = 1e-6
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Lists:
    """Neighbours that count, sample by sample: those of i lie from start[i] to start[i + 1].

    Parameters
    ----------
    start : Tensor [N + 1], int64, multiples of `plan.LIST_BLOCK`
    index : Tensor [start[-1]], int32, ascending in a list; 0 beyond a list's last
    p : Tensor [start[-1]], float32, joint probabilities; 0 beyond a list's last
    """

    start: Tensor
    index: Tensor
    p: Tensor


class KernelAffinities:
    """Joint probabilities of the samples x [N, D], as lists or tiles where they fit the budget.

    A pair is kept if ``p(j | i) + p(i | j)`` exceeds `plan.LEAST_SHARE` over N. What is dropped is
    at most N times that bound, and is summed: `dropped`.

    Attributes
    ----------
    N : samples.
    stride : N, padded to whole tiles.
    row : rows, block and warps of programs that go over whole rows.
    beta, log_sum : Tensor [stride], float32
        Of each sample's neighbourhood: ``p(j | i) = exp(-beta[i] d_ij - log_sum[i])``.
    lists : Lists, or None where they do not fit or tiles are smaller.
    tiles : Tensor [tiles, SIDE, SIDE], float32, or None
        Affinities on and above the diagonal, the tiles of each strip of rows in order; 0 of pairs
        that do not count.
    mass, neg_entropy : sums of p and of p log p over the pairs that are kept.
    dropped : sum of p over the others; they count too where nothing is kept.
    """

    def __init__(self, x: Tensor, perplexity: float, memory_budget: int | None) -> None:
        self.N, self._D = x.shape
        self.stride = plan.padded(self.N)
        # No distance changes by a common offset, and their rounding errors shrink.
        self._x = x.new_zeros(self._D, self.stride, dtype=torch.float32)
        self._x[:, : self.N] = (x - x.mean(0, dtype=torch.float64)).T
        rows = plan.strip_rows(self.N)
        self._strip = torch.empty(rows, self.stride, dtype=torch.float32, device=x.device)
        self.beta = self._x.new_zeros(self.stride)
        self.log_sum = self._x.new_zeros(self.stride)
        self.row: dict[str, Any] = {
            "ROWS": plan.rows_together(self.N),
            "BLOCK": plan.row_block(self.N),
            "num_warps": plan.row_warps(self.N),
        }
        self._find_widths(perplexity)
        counts, sums = self._count()
        mass, neg_entropy, dropped = sums.sum(1, dtype=torch.float64).tolist()
        self.mass, self.neg_entropy, self.dropped = mass, neg_entropy, dropped
        start = torch.zeros(self.N + 1, dtype=torch.int64, device=x.device)
        blocks = torch.div(counts + (plan.LIST_BLOCK - 1), plan.LIST_BLOCK, rounding_mode="floor")
        torch.cumsum(blocks * plan.LIST_BLOCK, 0, out=start[1:])
        total = int(start[-1])
        kept = plan.kept(self.N, total, memory_budget, _memory_bytes(x.device))
        self.lists = self._fill(start, total) if kept == "lists" else None
        self.tiles = self._fill_tiles() if kept == "tiles" else None
        if kept is not None:
            del self._x, self._strip

    def strips(self) -> Iterator[tuple[int, int, Tensor]]:
        """Rows of squared distances [rows, stride], a strip at a time in the same memory."""
        rows = self._strip.shape[0]
        columns = plan.tile_columns(self.N)
        tile: dict[str, Any] = {"BLOCK_I": plan.TILE_ROWS, "BLOCK_J": columns}
        for begin in range(0, self.N, rows):
            end = min(begin + rows, self.N)
            grid = (self.stride // columns, -(-(end - begin) // plan.TILE_ROWS))
            kernels._tsne_distances_kernel[grid](
                self._x,
                self._strip,
                begin,
                self.stride,
                self._D,
                **tile,
            )
            yield begin, end, self._strip

    def row_grid(self, begin: int, end: int) -> tuple[int]:
        """Programs that go over these rows."""
        return (-(-(end - begin) // plan.rows_together(self.N)),)

    def _find_widths(self, perplexity: float) -> None:
        # The mean distance of all pairs, from the variance alone.
        scale = 2.0 * float(torch.linalg.vector_norm(self._x)) ** 2 / self.N
        start = -math.log(scale) if scale > 0.0 else 0.0
        options: dict[str, Any] = self.row | {"MOST_STEPS": _STEPS}
        for begin, end, d in self.strips():
            kernels._tsne_widths_kernel[self.row_grid(begin, end)](
                d,
                self.beta,
                self.log_sum,
                begin,
                self.N,
                self.stride,
                math.log(perplexity),
                start,
                _TOLERANCE,
                **options,
            )

    def _count(self) -> tuple[Tensor, Tensor]:
        """Pairs that count in each row, and sums over them."""
        counts = torch.empty(self.N, dtype=torch.int32, device=self._x.device)
        sums = self._x.new_empty(3, self.N)
        for begin, end, d in self.strips():
            kernels._tsne_count_kernel[self.row_grid(begin, end)](
                d,
                self.beta,
                self.log_sum,
                counts,
                sums,
                begin,
                self.N,
                self.stride,
                plan.LEAST_SHARE / self.N,
                **self.row,
            )
        return counts, sums

    def _fill(self, start: Tensor, total: int) -> Lists:
        index = torch.zeros(total, dtype=torch.int32, device=start.device)
        p = torch.zeros(total, dtype=torch.float32, device=start.device)
        for begin, end, d in self.strips():
            kernels._tsne_fill_kernel[self.row_grid(begin, end)](
                d,
                self.beta,
                self.log_sum,
                start,
                index,
                p,
                begin,
                self.N,
                self.stride,
                plan.LEAST_SHARE / self.N,
                **self.row,
            )
        return Lists(start, index, p)

    def _fill_tiles(self) -> Tensor:
        options: dict[str, Any] = self.row | {"SIDE": plan.SIDE}
        tiles = self._x.new_zeros(plan.tile_count(self.N), plan.SIDE, plan.SIDE)
        for begin, end, d in self.strips():
            kernels._tsne_tiles_kernel[self.row_grid(begin, end)](
                d,
                self.beta,
                self.log_sum,
                tiles,
                begin,
                self.N,
                self.stride,
                plan.sides(self.N),
                plan.LEAST_SHARE / self.N,
                **options,
            )
        return tiles


def _memory_bytes(device: torch.device) -> int:
    """Memory of the device; without bound where there is none, in the interpreter."""
    if device.type != "cuda":
        return sys.maxsize
    return torch.cuda.get_device_properties(device).total_memory
