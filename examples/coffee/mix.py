"""The cup over time: neighbours change places, one read and one write of the grid a step.

The grid is packed: 32 cells to a word, bit ``b`` of word ``w`` in a row of W words being column
``b · W + w``. So neighbours of one word stand in the next, at the same bits, and a step exchanges
bits of pairs of words that do not overlap: it works in place.
"""

import importlib

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, complaint
from onetrip.tile.problem import is_interpreting

CELLS = 32
_BITS = 0xFFFFFFFF
# Steps whose random words torch draws at once, so that a small cup is not all overhead.
_DRAWN = 64


def mix(
    grid: Tensor, *, start: int = 0, steps: int = 1, seed: int = 0, impl: str = "auto"
) -> Tensor:
    """Let each pair of neighbours change places with probability one half, `steps` times.

    Which cells are neighbours in a step, one of four ways to pair them (along rows or columns,
    from the first or the second cell on), and which pairs change places, follow from `seed` and
    the step's number by counting: no state is kept, and every implementation gives the same bits.

    Parameters
    ----------
    grid : Tensor [H, W], int32, contiguous, W even
        Cells of H rows and 32 · W columns. Changed in place.
    start : int, default 0
        Number of the first step.
    steps : int, default 1
        How many. On a GPU each is one launch that reads and writes the grid once.
    seed : int, default 0
        Another seed, another history.
    impl : {"auto", "torch", "triton"}, default "auto"
        "auto" takes the kernel on a GPU and torch elsewhere.

    Returns
    -------
    grid : Tensor [H, W], int32

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        An argument does not fit.

    Examples
    --------
    >>> cup = mix(pack(torch.tensor([[True] * 64, [False] * 64])), steps=100)
    >>> int(unpack(cup).sum())
    64
    """
    if grid.dim() != 2 or grid.shape[1] % 2 or not grid.shape[1]:
        expected = "a grid [H, W] of words, W even"
        raise ShapeError(complaint("grid", expected=expected, got=list(grid.shape)))
    if grid.dtype != torch.int32 or not grid.is_contiguous():
        got = f"{grid.dtype}, strides {grid.stride()}"
        raise DtypeError(complaint("grid", expected="int32 and contiguous", got=got))
    if impl not in ("auto", "torch", "triton"):
        raise ArgumentError(complaint("impl", expected="auto, torch or triton", got=repr(impl)))
    if impl == "auto":
        impl = "triton" if grid.is_cuda else "torch"
    if impl == "triton" and not (grid.is_cuda or is_interpreting()):
        expected = "torch where there is no GPU"
        raise ArgumentError(complaint("impl", expected=expected, got=repr(impl)))
    keys = [_key(step, seed) for step in range(start, start + steps)]
    if impl == "triton":
        kernel = importlib.import_module("coffee.kernel_triton")
        for key in keys:
            kernel.exchange(grid, *pairing(key), _signed(key), _signed(mixed(key + 1)))
    else:
        _exchange_all(grid, keys)
    return grid


def pairing(key: int) -> tuple[bool, int]:
    """Whether a step pairs cells along rows, and the cell from which on it does, 0 or 1."""
    return bool(key & 1), key >> 1 & 1


def _key(step: int, seed: int) -> int:
    return mixed((step & _BITS) + 0x9E3779B9 * (seed & _BITS))


def mixed(number: int) -> int:
    """Scatter the bits of a number of 32 bits (Wellons' lowbias32, public domain)."""
    number &= _BITS
    number = (number ^ number >> 16) * 0x7FEB352D & _BITS
    number = (number ^ number >> 15) * 0x846CA68B & _BITS
    return number ^ number >> 16


def pack(cells: Tensor) -> Tensor:
    """Pack cells [H, 32 · W], bool, to words [H, W], int32."""
    height, width = cells.shape
    if width % (2 * CELLS):
        expected = f"[H, columns], a multiple of {2 * CELLS} of them"
        raise ShapeError(complaint("cells", expected=expected, got=[height, width]))
    bits = cells.view(height, CELLS, width // CELLS).long()
    words = (bits << torch.arange(CELLS, device=cells.device)[:, None]).sum(1)
    return torch.where(words >= 1 << 31, words - (1 << 32), words).int()


def unpack(grid: Tensor) -> Tensor:
    """Unpack words [H, W] to cells [H, 32 · W], bool."""
    shifts = torch.arange(CELLS, device=grid.device, dtype=torch.int32)[:, None]
    return (grid[:, None] >> shifts & 1).flatten(1).bool()


def _exchange_all(grid: Tensor, keys: list[int]) -> None:
    """In torch: words are exchanged slice by slice."""
    index = torch.arange(grid.numel(), dtype=torch.int32, device=grid.device)
    for at in range(0, len(keys), _DRAWN):
        some = keys[at : at + _DRAWN]
        first, second = (
            torch.tensor([[_signed(one)] for one in ones], dtype=torch.int32, device=grid.device)
            for ones in (some, [mixed(key + 1) for key in some])
        )
        # A word of random bits for each word of the grid: the kernel's, to the bit.
        chosen = _scattered(_scattered(index + first) ^ second).view(-1, *grid.shape)
        for key, words in zip(some, chosen, strict=True):
            _exchange(grid, *pairing(key), words)


def _exchange(grid: Tensor, along_rows: bool, second: int, chosen: Tensor) -> None:
    height, words = grid.shape
    if not along_rows:
        end = second + (height - second) // 2 * 2
        _swap(grid[second:end:2], grid[second + 1 : end : 2], chosen[second:end:2])
        return
    end = words - second
    _swap(grid[:, second:end:2], grid[:, second + 1 : end : 2], chosen[:, second:end:2])
    if second:
        # The last word's neighbours stand in the first, one bit higher; its last bit has none.
        last, first = grid[:, -1], grid[:, 0]
        swaps = (last ^ _shifted(first, 1)) & chosen[:, -1] & 0x7FFFFFFF
        last ^= swaps
        first ^= swaps << 1


def _swap(one: Tensor, other: Tensor, chosen: Tensor) -> None:
    swaps = (one ^ other) & chosen
    one ^= swaps
    other ^= swaps


def _scattered(words: Tensor) -> Tensor:
    words = (words ^ _shifted(words, 16)) * 0x7FEB352D
    words = (words ^ _shifted(words, 15)) * _signed(0x846CA68B)
    return words ^ _shifted(words, 16)


def _shifted(words: Tensor, by: int) -> Tensor:
    """Shift to the right and fill with zeros; torch's own copies the sign."""
    return words >> by & (_BITS >> by)


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number
