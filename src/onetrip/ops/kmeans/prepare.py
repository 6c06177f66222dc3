"""Samples made ready for any number of passes: mean, norms, weights and grids."""

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.exact_sums import exact_total, grid_magic, on_grid, reduced
from onetrip.ops.kmeans.points import Points, grids
from onetrip.ops.kmeans.workers import WORTH_THREADS, pass_rows, rows_workers, slices

# Samples of one step of a pass on a device, which stores nothing of their size.
_DEVICE_ELEMENTS = 1 << 30


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


def _total(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def _sum(block: Tensor) -> Tensor:
    """Sum [D] of a block's rows, by a product: it takes vector instructions along short rows."""
    return torch.mv(block.T, torch.ones_like(block[:, 0])).double()


def _largest(weight: Tensor | None, x: Tensor) -> Tensor:
    one = torch.ones((), dtype=x.dtype, device=x.device)
    return one if weight is None else weight.max().clamp(min=1.0).to(x.dtype)
