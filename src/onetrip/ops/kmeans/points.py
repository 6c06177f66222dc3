"""The samples of one problem, made ready once: centred, with norms, weights and a grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.exact_sums import exact_total, grid_magic, on_grid, reduced
from onetrip.ops.kmeans.workers import WORTH_THREADS, pass_rows, rows_workers, slices

# Samples of one step of a pass on a device, which stores nothing of their size.
_DEVICE_ELEMENTS = 1 << 30

_OF_NUMPY = (torch.float32, torch.float64)
# Consecutive rows, which are not copied, or rows by number [R].
Rows = slice | Tensor


def rows_of(tensor: Tensor, rows: Rows) -> Tensor:
    """Some rows of a tensor."""
    if isinstance(rows, slice):
        return tensor[rows]
    if tensor.is_cpu and tensor.dtype in _OF_NUMPY:
        # A third of the time of torch's call, for a small batch.
        return torch.from_numpy(tensor.numpy().take(rows.numpy(), 0))
    return tensor.index_select(0, rows)


@dataclass(frozen=True, slots=True)
class Placed:
    """Samples about an offset, which is what it takes to label them.

    Attributes
    ----------
    x : Tensor [N, D], float32 | float64; rows of unit length for the cosine metric
        The samples as they came, or a float32 copy of half precision.
    centred : Tensor [N, D], same dtype
        ``x - offset``; `x` itself where the common offset is small and is left in place.
    offset : Tensor [D], same dtype
    norm : Tensor [N], same dtype, of the rows of `centred`
    weight : Tensor [N], float64, or None where all are 1
    """

    x: Tensor
    centred: Tensor
    offset: Tensor
    norm: Tensor
    weight: Tensor | None

    @property
    def size(self) -> int:
        """How many samples there are."""
        return self.x.shape[0]

    def rows(self, rows: Rows) -> "Placed":
        """Some of the samples."""
        x = rows_of(self.x, rows)
        if self.centred is self.x:
            centred = x
        elif x.is_cpu and not isinstance(rows, slice):
            # A difference takes less time than rows from here and there.
            centred = torch.from_numpy(x.numpy() - self.offset.numpy())
        else:
            centred = rows_of(self.centred, rows)
        weight = None if self.weight is None else rows_of(self.weight, rows)
        return Placed(x, centred, self.offset, rows_of(self.norm, rows), weight)


@dataclass(frozen=True, slots=True)
class Points(Placed):
    """The samples of one process, with what it takes to add them up; weights are on a grid.

    Attributes
    ----------
    total_weight : float, of all processes
    variance : float, mean over features of the variance of `x`, of all processes
    magics : grids of the sums of weighted rows of `x`: one, or for float64 one more for what
        the first rounds off
    group : processes that hold the other samples, or None
    lost : Tensor [N], what float16 takes from each row of `centred`, where a device has found it
    longest : float, the largest norm of these rows, where a device has found it
    columns : array [D + 1, N], `by_columns` of `centred`, where somebody asked for it
    """

    total_weight: float
    variance: float
    magics: tuple[float, ...]
    group: dist.ProcessGroup | None
    lost: Tensor | None = None
    longest: float | None = None
    columns: np.ndarray | None = None

    def terms(self, rows: Tensor) -> Tensor:
        """Weighted rows [R, D · grids] of `x` in float64, on the grids: their sums are exact."""
        values = self.x.index_select(0, rows).double()
        if self.weight is not None:
            values *= self.weight.index_select(0, rows)[:, None]
        return on_grids(values, self.magics)

    def weights(self, rows: Tensor) -> Tensor:
        """Weights [R] of rows in float64, on a grid as well."""
        if self.weight is None:
            return torch.ones(rows.shape[0], dtype=torch.float64, device=rows.device)
        return self.weight.index_select(0, rows)

    def joined(self, sums: Tensor) -> Tensor:
        """Sums [..., D] of weighted rows from sums of `terms` [..., D · grids]."""
        if len(self.magics) == 1:
            return sums
        return sums.unflatten(-1, (len(self.magics), -1)).sum(-2)


def on_grids(values: Tensor, magics: tuple[float, ...]) -> Tensor:
    """Parts of float64 `values` [R, D] on each grid, side by side; `values` is used up."""
    if len(magics) == 1:
        return on_grid(values, magics[0])
    coarse = on_grid(values.clone(), magics[0])
    return torch.cat((coarse, on_grid(values.sub_(coarse), magics[1])), dim=1)


def place(x: Tensor, sample_weight: Tensor | None, offset: Tensor) -> Placed:
    """Samples about an `offset` [D] that is known; zeros spare the centred copy.

    >>> place(torch.tensor([[3.0, 4.0]]), None, torch.zeros(2)).norm
    tensor([5.])
    """
    x = (x if x.dtype == torch.float64 else x.float()).contiguous()
    offset = offset.to(x)
    centred = x - offset if bool(offset.any()) else x
    weight = None if sample_weight is None else sample_weight.double()
    return Placed(x, centred, offset, torch.linalg.vector_norm(centred, dim=1), weight)


def prepare(
    x: Tensor,
    sample_weight: Tensor | None,
    metric: str,
    group: dist.ProcessGroup | None = None,
    meanwhile: Callable[[], object] = lambda: None,
    *,
    with_columns: bool = False,
) -> Points:
    """Make samples ready: one pass for mean and norms, one more far from the origin.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float64 | float16 | bfloat16
    sample_weight : Tensor [N], optional
    metric : {"euclidean", "cosine"}
    group : processes over which the samples are split, optional
    meanwhile : what the host does while a device reads, optional
    with_columns : whether few samples on a CPU get their `columns` too, which is for those who
        search all of them again and again
    """
    x = (x if x.dtype == torch.float64 else x.float()).contiguous()
    if metric == "cosine":
        x = F.normalize(x, dim=1)
    rows = x.shape[0]
    weight, total_weight = None, None
    if sample_weight is not None:
        weight = sample_weight.double()
        total_weight = exact_total(weight, group).item()
        weight = on_grid(weight.clone(), grid_magic(total_weight))
    if x.is_cuda and x.dtype == torch.float32:
        from onetrip.ops.kmeans.device_points import prepare_on_device

        placed = prepare_on_device(x, weight, total_weight, group, meanwhile)
        if placed is not None:
            return placed
    if x.is_cpu and group is None and x.numel() < WORTH_THREADS:
        from onetrip.ops.kmeans.few_points import prepare_few

        return prepare_few(x, weight, total_weight, with_columns=with_columns)
    with rows_workers(x) as workers:
        block_rows = pass_rows(x) if x.is_cpu else max(1, _DEVICE_ELEMENTS // x.shape[1])
        blocks = slices(slice(0, rows), block_rows)
        norm = torch.empty(rows, dtype=x.dtype, device=x.device)

        def measure(part: Tensor, block: slice) -> Tensor:
            """Store the norms of a part; the sum of their squares."""
            wide = torch.linalg.vector_norm(part, dim=1, out=norm[block]).double()
            return torch.dot(wide, wide)

        def measure_and_add(block: slice) -> Tensor:
            part = x[block]
            return torch.cat((_sum(part), measure(part, block)[None]))

        offset, centred = torch.zeros_like(x[0]), None
        sums = _total(workers.map(measure_and_add, blocks))
        # Filled there: a copy of it would stop the device.
        count = torch.full((1,), float(rows), dtype=torch.float64, device=x.device)
        totals = reduced(torch.cat((sums, count)), dist.ReduceOp.SUM, group)
        mean = totals[:-2] / totals[-1]
        # Together: every number that a device is asked for stops it.
        numbers = torch.stack((totals[-1], totals[-2], mean.square().sum()))
        samples, square, away = numbers.tolist()
        variance = square / samples - away
        if away > variance:
            # Otherwise spare the copy: rounding errors grow with norms, which such an offset
            # hardly changes.
            offset = mean.to(x.dtype)
            centred = x - offset
            about = centred
            spread = _total(workers.map(lambda block: measure(about[block], block), blocks))
            variance = reduced(spread, dist.ReduceOp.SUM, group).item() / samples
    largest = torch.stack((norm.max() + offset.abs().max(), _largest(weight, x)))
    largest = reduced(largest.double(), dist.ReduceOp.MAX, group)
    return Points(
        x=x,
        centred=x if centred is None else centred,
        offset=offset,
        norm=norm,
        weight=weight,
        total_weight=samples if total_weight is None else total_weight,
        variance=variance / x.shape[1],
        magics=grids(float(largest[0] * largest[1]), samples, x.dtype),
        group=group,
    )


def grids(largest: float, samples: float, dtype: torch.dtype) -> tuple[float, ...]:
    """Grids on which weighted rows add up exactly, if none is longer than `largest`."""
    bound = 1.01 * largest * samples
    if dtype != torch.float64:
        return (grid_magic(bound),)
    # What the first rounds off is at most half a step, 2^-52 of the bound.
    return grid_magic(bound), grid_magic(bound * 2.0**-51 * samples)


def _total(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def _sum(block: Tensor) -> Tensor:
    """Sum [D] of a block's rows, by a product: it takes vector instructions along short rows."""
    return torch.mv(block.T, torch.ones_like(block[:, 0])).double()


def _largest(weight: Tensor | None, x: Tensor) -> Tensor:
    one = torch.ones((), dtype=x.dtype, device=x.device)
    return one if weight is None else weight.max().clamp(min=1.0).to(x.dtype)
