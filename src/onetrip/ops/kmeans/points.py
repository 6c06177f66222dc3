"""The samples of one problem, made ready once: centred, with norms, weights and a grid."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.exact_sums import exact_total, grid_magic, on_grid, reduced

# Rows that one pass converts to float64: a tile of 4 MiB at 64 features.
_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Points:
    """The samples of one process.

    Attributes
    ----------
    x : Tensor [N, D], float32 | float64; rows of unit length for the cosine metric
        The samples as they came, or a float32 copy of half precision.
    centred : Tensor [N, D], same dtype
        ``x - offset``; `x` itself where the common offset is small and is left in place.
    offset : Tensor [D], same dtype
    norm : Tensor [N], same dtype, of the rows of `centred`
    weight : Tensor [N], float64, on a grid of their sum, or None where all are 1
    total_weight : float, of all processes
    variance : float, mean over features of the variance of `x`, of all processes
    magics : grids of the sums of weighted rows of `x`: one, or for float64 one more for what
        the first rounds off
    group : processes that hold the other samples, or None
    """

    x: Tensor
    centred: Tensor
    offset: Tensor
    norm: Tensor
    weight: Tensor | None
    total_weight: float
    variance: float
    magics: tuple[float, ...]
    group: dist.ProcessGroup | None

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
        return sums.unflatten(-1, (len(self.magics), -1)).sum(-2)


def on_grids(values: Tensor, magics: tuple[float, ...]) -> Tensor:
    """Parts of float64 `values` [R, D] on each grid, side by side; `values` is used up."""
    if len(magics) == 1:
        return on_grid(values, magics[0])
    coarse = on_grid(values.clone(), magics[0])
    return torch.cat((coarse, on_grid(values.sub_(coarse), magics[1])), dim=1)


def prepare(
    x: Tensor,
    sample_weight: Tensor | None,
    metric: str,
    group: dist.ProcessGroup | None = None,
) -> Points:
    """Make samples ready: one pass for their mean and size, one for norms and variance.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float64 | float16 | bfloat16
    sample_weight : Tensor [N], optional
    metric : {"euclidean", "cosine"}
    group : processes over which the samples are split, optional
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
    largest_weight = torch.ones((), dtype=torch.float64, device=x.device)
    if weight is not None:
        largest_weight = weight.abs().max()
    largest = torch.stack((torch.linalg.vector_norm(x, float("inf")).double(), largest_weight))
    largest = reduced(largest, dist.ReduceOp.MAX, group)
    count = reduced(torch.tensor(rows, device=x.device), dist.ReduceOp.SUM, group).item()
    bound = float(largest[0] * largest[1].clamp(min=1.0)) * count
    magics = (grid_magic(bound),)
    if x.dtype == torch.float64:
        # What is rounded off is at most half a step, 2^-51 of the bound.
        magics += (grid_magic(bound * 2.0**-51 * count),)
    total = torch.zeros(x.shape[1] * len(magics), dtype=torch.float64, device=x.device)
    for part in x.split(_ROWS):
        total += on_grids(part.double().clone(), magics).sum(0)
    total = reduced(total, dist.ReduceOp.SUM, group)
    mean = total.unflatten(-1, (len(magics), -1)).sum(-2) / count
    spread = torch.zeros_like(mean)
    for part in x.split(_ROWS):
        spread += (part.double() - mean).square_().sum(0)
    variance = reduced(spread, dist.ReduceOp.SUM, group).sum().item() / count
    offset = mean.to(x.dtype)
    if mean.square().sum().item() <= variance:
        # Rounding errors grow with norms, which such an offset hardly changes: spare the copy.
        offset = torch.zeros_like(offset)
        centred = x
    else:
        centred = x - offset
    return Points(
        x=x,
        centred=centred,
        offset=offset,
        norm=torch.linalg.vector_norm(centred, dim=1),
        weight=weight,
        total_weight=count if total_weight is None else total_weight,
        variance=variance / x.shape[1],
        magics=magics,
        group=group,
    )
