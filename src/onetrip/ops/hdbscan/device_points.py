"""Points as kernels want them: in an order that keeps near ones together, scaled, with boxes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.hdbscan.kernel_order import halved

# Boxes are scaled to at most 2^13, far from what float16 cannot hold, by no more than this.
_WIDTH_EXPONENT = 13
_MOST_EXPONENT = {torch.float32: 100, torch.float64: 400}
# Of each dtype the bias of exponents and the bits below them, and integers as wide.
_EXPONENTS = {torch.float32: (127, 23, torch.int32), torch.float64: (1023, 52, torch.int64)}


@dataclass(frozen=True, slots=True)
class Points:
    """Points in the order of their places.

    `exact` [N, D], float32 or float64, times `scale` [], a power of two; `x` [N, D], the same in
    float32, which moves the distance of a pair by `off` at most; `order` [N], the point at each
    place; `low`, `high` [blocks, D], the boxes of blocks of consecutive places of `x`, `radius`
    [blocks] of the balls around their middles.
    """

    x: Tensor
    exact: Tensor
    off: float
    scale: Tensor
    order: Tensor
    low: Tensor
    high: Tensor
    radius: Tensor

    @property
    def boxes(self) -> tuple[Tensor, Tensor, Tensor]:
        """What bounds the blocks: boxes, and balls around their middles."""
        return self.low, self.high, self.radius


def arranged(x: Tensor, block: int) -> Points:
    """Arrange x [N, D], N and D > 0, float32 or float64; boxes hold `block` places each."""
    width_exponent = torch.frexp((x.amax(0) - x.amin(0)).amax()).exponent
    most = _MOST_EXPONENT[x.dtype]
    scale = power_of_two((_WIDTH_EXPONENT - width_exponent).clamp_(-most, most), x.dtype)
    near, off = (x, 0.0) if x.dtype == torch.float32 else _rounded(x * scale)
    order = tree_order(near, block)
    exact = x[order].mul_(scale)
    near = exact if x.dtype == torch.float32 else near[order]
    padded = in_blocks(near, block)  # [blocks, block, D]
    low, high = padded.amin(1), padded.amax(1)
    middle = (low + high) * 0.5
    radius = torch.linalg.vector_norm(padded - middle[:, None], dim=2).amax(1)
    return Points(near, exact, off, scale, order, low, high, radius)


def _rounded(x: Tensor) -> tuple[Tensor, float]:
    """Points [N, D] about their middle in float32, and how far that moves a pair's distance."""
    centred = x - (x.amin(0) + x.amax(0)) * 0.5
    near = centred.float()
    moved = torch.linalg.vector_norm(centred - near, dim=1)
    # Centring rounds, too.
    moved += 2.0**-52 * torch.linalg.vector_norm(centred, dim=1)
    return near, 2.001 * float(moved.amax())


def no_less(value: Tensor) -> Tensor:
    """The least float32 that is not below each value of float32 or float64.

    >>> no_less(torch.tensor([0.1, 0.5], dtype=torch.float64)).tolist()
    [0.10000000149011612, 0.5]
    """
    near = value.float()
    if value.dtype == torch.float32:
        return near
    return torch.where(near < value, near.nextafter(near.new_tensor(torch.inf)), near)


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


def power_of_two(exponent: Tensor, dtype: torch.dtype) -> Tensor:
    """2 to the power of int32 exponents of normal numbers, exactly, in float32 or float64.

    >>> power_of_two(torch.tensor([-1, 0, 3], dtype=torch.int32), torch.float32).tolist()
    [0.5, 1.0, 8.0]
    """
    bias, below, integers = _EXPONENTS[dtype]
    return ((exponent.to(integers) + bias) << below).view(dtype)
