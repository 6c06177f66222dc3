"""Sums whose order does not show: terms on a common grid, so that float64 adds them exactly.

A float64 holds every multiple of a grid's step up to 2^52 steps. Terms that are rounded to the
grid first are then summed without any rounding, so any order of threads, blocks, processes or
additions and later subtractions gives the same bits. The step is 2^-51 of a bound on the sum of
all magnitudes: an error of 2^-52 of that bound a term, below that of float32 by far.
"""

import math

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor


def grid_magic(bound: float) -> float:
    """The number that rounds to the grid: ``(v + magic) - magic`` in float64.

    `bound` is at least the sum of the magnitudes of all terms that will ever be added up.

    >>> magic = grid_magic(4.0)
    >>> (0.3 + magic) - magic == round(0.3 * 2**49) / 2**49
    True
    """
    if not bound > 0.0:
        return 0.0
    return 1.5 * 2.0 ** (math.ceil(math.log2(bound)) + 1)


def on_grid(values: Tensor, magic: float) -> Tensor:
    """Round float64 `values`, in place, to the grid of `grid_magic`."""
    return values.add_(magic).sub_(magic)


def exact_total(values: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Sum of float64 values [N] >= 0 over all processes, the same bits in any order.

    >>> import torch
    >>> terms = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    >>> torch.equal(exact_total(terms), exact_total(terms.flip(0)))
    True
    """
    if group is None and values.is_cpu:
        return _total_on_host(values.numpy())
    # The order of this first sum shows in its last bits; the grid sees but its power of two.
    bound = reduced(values.sum(), dist.ReduceOp.SUM, group).item() * (1.0 + 1e-9)
    return reduced(on_grid(values.clone(), grid_magic(bound)).sum(), dist.ReduceOp.SUM, group)


def _total_on_host(values: np.ndarray) -> Tensor:
    """`exact_total` of one process on a CPU, by NumPy: torch's calls take longer than the work."""
    magic = grid_magic(float(values.sum()) * (1.0 + 1e-9))
    terms = values + magic
    terms -= magic
    return torch.from_numpy(np.asarray(terms.sum()))


def reduced(tensor: Tensor, op: dist.ReduceOp.RedOpType, group: dist.ProcessGroup | None) -> Tensor:
    """`tensor` reduced over the processes of `group`, or as it is where there is no group."""
    if group is not None:
        tensor = tensor.clone()
        dist.all_reduce(tensor, op=op, group=group)
    return tensor
