"""The samples of one problem, made ready once: centred, with norms, weights and a grid."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.ops.kmeans.exact_sums import grid_magic, on_grid

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


def grids(largest: float, samples: float, dtype: torch.dtype) -> tuple[float, ...]:
    """Grids on which weighted rows add up exactly, if none is longer than `largest`."""
    bound = 1.01 * largest * samples
    if dtype != torch.float64:
        return (grid_magic(bound),)
    # What the first rounds off is at most half a step, 2^-52 of the bound.
    return grid_magic(bound), grid_magic(bound * 2.0**-51 * samples)
