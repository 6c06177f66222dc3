# pyright: reportArgumentType=false, reportCallIssue=false
"""Samples on a device, made ready by one reading: means, norms, what half precision takes."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.ops.kmeans.exact_sums import grid_magic, reduced
from onetrip.ops.kmeans.kernel_points_triton import _kmeans_points_kernel
from onetrip.ops.kmeans.points import Points
from onetrip.tile.launches import blocks, launches_for, next_power

# Features of a row that a program holds at once.
MOST_FEATURES = 256
# Elements of a block of rows, and the programs that share the rows.
_ELEMENTS = 2048
_PROGRAMS = 1056
# The interpreter takes as long for a small block as for a large one.
_INTERPRETED_ROWS = 1024
# Between these a float32 holds the squares that count.
_LEAST_NORM = 2.0**-40
_LARGEST_NORM = 2.0**60


class Measured(NamedTuple):
    """What one reading of samples [N, D] tells.

    `norm` and `lost` [N], float32: length of each row, and of what float16 takes from it, from
    above, but for what has no significant bits there. `mean` [D], float64, the number of `samples`
    and the sum of `squares` are of all processes, the length of the `longest` row is of this one.
    """

    norm: Tensor
    lost: Tensor
    mean: np.ndarray
    samples: float
    squares: float
    longest: float


def prepare_on_device(
    x: Tensor,
    weight: Tensor | None,
    total_weight: float | None,
    group: dist.ProcessGroup | None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Points | None:
    """`prepare` for float32 samples [N, D].

    None where a row is too long for the kernel, in features or in what its squares are.
    """
    if x.shape[1] > MOST_FEATURES:
        return None
    found = measured(x, group, meanwhile)
    offset, centred, highest = x.new_zeros(x.shape[1]), x, 0.0
    away = float(np.square(found.mean).sum())
    variance = found.squares / found.samples - away
    if away > variance:
        offset = torch.from_numpy(found.mean).to(x)
        centred, highest = x - offset, float(np.abs(found.mean).max())
        found = measured(centred, group)
        variance = found.squares / found.samples
    if not (math.isfinite(found.squares) and _LEAST_NORM < found.longest < _LARGEST_NORM):
        return None
    longest = found.longest + highest
    heaviest = 1.0 if weight is None else float(weight.max().clamp(min=1.0))
    if group is not None:
        numbers = torch.tensor([longest, heaviest], dtype=torch.float64, device=x.device)
        longest, heaviest = reduced(numbers, dist.ReduceOp.MAX, group).tolist()
    return Points(
        x=x,
        centred=centred,
        offset=offset,
        norm=found.norm,
        weight=weight,
        total_weight=found.samples if total_weight is None else total_weight,
        variance=variance / x.shape[1],
        magics=(grid_magic(1.01 * longest * heaviest * found.samples),),
        group=group,
        lost=found.lost,
        longest=found.longest,
    )


def measured(
    x: Tensor, group: dist.ProcessGroup | None, meanwhile: Callable[[], object] = lambda: None
) -> Measured:
    """Read float32 samples [N, D] of up to `MOST_FEATURES` features once; the host waits once."""
    N, D = x.shape
    block_d = max(16, next_power(D))
    block_n = _ELEMENTS // block_d if x.is_cuda else _INTERPRETED_ROWS
    programs = min(_PROGRAMS, blocks(N, block_n))
    norm, lost = torch.empty(2, N, device=x.device).unbind()
    totals = torch.empty(programs, D + 2, dtype=torch.float64, device=x.device)
    with torch.cuda.device_of(x):
        launches_for("points", *x.shape, x)(
            _kmeans_points_kernel, programs,
            x, norm, lost, totals, N, D, BLOCK_N=block_n, BLOCK_D=block_d,
        )  # fmt: skip
    sums, samples = totals[:, : D + 1].sum(0), float(N)
    if group is not None:
        # Filled there: a copy of it would stop the device.
        count = torch.full((1,), samples, dtype=torch.float64, device=x.device)
        sums = reduced(torch.cat((sums, count)), dist.ReduceOp.SUM, group)
        samples = sums[-1].item()
    # Together: every number that a device is asked for stops it.
    numbers = torch.cat((sums[: D + 1], totals[:, D + 1].amax(0, keepdim=True)))
    meanwhile()
    numbers = numbers.cpu().numpy()
    *_, squares, longest = numbers.tolist()
    return Measured(norm, lost, numbers[:D] / samples, samples, squares, longest)


def below_halves(features: int, scale: float) -> float:
    """A length, in units of `scale`, that what `lost` does not know of a row stays below.

    Digits below the last of a half are lost whole: 2^-25 of a feature at most. Squares that
    vanished were below 2^-126.
    """
    return math.sqrt(features) * (2.0**-25 + 2.0**-63 * scale)
