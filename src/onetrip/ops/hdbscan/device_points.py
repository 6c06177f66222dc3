"""Points as kernels want them: in an order that keeps near ones together, scaled, with boxes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.hdbscan.kernel_order import halved

# Boxes are scaled to at most 2^13, far from what float16 cannot hold.
_WIDTH_EXPONENT = 13


@dataclass(frozen=True, slots=True)
class Points:
    """Points in the order of their places.

    `x` [N, D], float32, times `scale` [], a power of two; `order` [N], the point at each place;
    `low`, `high` [blocks, D], the boxes of blocks of consecutive places, `radius` [blocks] of the
    balls around their middles.
    """

    x: Tensor
    scale: Tensor
    order: Tensor
    low: Tensor
    high: Tensor
    radius: Tensor


def arranged(x: Tensor, block: int) -> Points:
    """Arrange x [N, D], N and D > 0, float32; boxes hold `block` places each."""
    width_exponent = torch.frexp((x.amax(0) - x.amin(0)).amax()).exponent
    scale = power_of_two((_WIDTH_EXPONENT - width_exponent).clamp_(-100, 100))
    order = tree_order(x, block)
    x = x[order].mul_(scale)
    padded = in_blocks(x, block)  # [blocks, block, D]
    low, high = padded.amin(1), padded.amax(1)
    middle = (low + high) * 0.5
    radius = torch.linalg.vector_norm(padded - middle[:, None], dim=2).amax(1)
    return Points(x, scale, order, low, high, radius)


def tree_order(x: Tensor, leaf: int) -> Tensor:
    """Points [N] in the order of a tree that halves groups along their widest coordinate.

    Every group but the last has a power of two times `leaf` points, so all splits of a level are
    one sort, and nothing waits for the device.
    """
    N = x.shape[0]
    depth = (-(-N // leaf) - 1).bit_length()
    order = halved(x, leaf, depth)
    # Near points have the same rank in neighbouring leaves: each leaf is turned by another amount,
    # so that the least of every column of tiles tells distinct points apart (`kernel_near.py`).
    full = N // leaf
    turn = torch.arange(full, device=x.device)[:, None] * 37
    column = (torch.arange(leaf, device=x.device) + turn) % leaf
    turned = order[: full * leaf].view(full, leaf).gather(1, column).view(-1)
    return torch.cat([turned, order[full * leaf : N]])


def in_blocks(values: Tensor, block: int) -> Tensor:
    """Rows in blocks [blocks, block, ...], the last filled up with its last row again."""
    N = values.shape[0]
    blocks = -(-N // block)
    if blocks * block > N:
        values = torch.cat([values, values[-1:].expand(blocks * block - N, *values.shape[1:])])
    return values.view(blocks, block, *values.shape[1:])


def power_of_two(exponent: Tensor) -> Tensor:
    """2 to the power of int32 exponents from -126 to 127, exactly, in float32.

    >>> power_of_two(torch.tensor([-1, 0, 3], dtype=torch.int32)).tolist()
    [0.5, 1.0, 8.0]
    """
    return ((exponent.int() + 127) << 23).view(torch.float32)
