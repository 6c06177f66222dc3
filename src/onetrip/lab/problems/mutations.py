"""Wrong outputs, made from right ones: what a problem must not accept."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

# Share of the rows that a kernel leaves out when it forgets its last tile.
_TILE = 16


def mutants(right: Tensor, stale: Tensor, seed: int) -> dict[str, Tensor]:
    """Wrong results by what is wrong with them, the coarsest first.

    Those that happen to be right are left out.

    Parameters
    ----------
    right : a right result.
    stale : the right result for other inputs.
    seed : of the noise.

    Examples
    --------
    >>> found = mutants(torch.rand(8, 3), torch.rand(8, 3), 1)
    >>> list(found)[:4], list(found)[4:]
    (['all zero', 'noise of its mean and deviation', 'its mean everywhere', 'rows shuffled'],
     ['last rows missing', 'the result for other inputs', 'rounded to bfloat16'])
    """
    generator = torch.Generator().manual_seed(seed)
    made: dict[str, Tensor] = {
        "all zero": torch.zeros_like(right),
        "noise of its mean and deviation": _noise(right, generator),
    }
    if right.numel() > 1:
        made["its mean everywhere"] = _constant(right)
        made["rows shuffled"] = right.roll(1, dims=0) if _rows(right) > 1 else _rolled(right)
        made["last rows missing"] = _cut(right)
    made["the result for other inputs"] = stale
    rounded = _ROUNDED.get(right.dtype)
    if rounded is not None:
        made[rounded[0]] = rounded[1](right)
    # These can leave a right result as it is: few integers, equal rows, zeros at the end, round
    # values.
    by_chance = {
        "noise of its mean and deviation",
        "rows shuffled",
        "last rows missing",
        *(name for name, _ in _ROUNDED.values()),
    }
    return {
        name: wrong
        for name, wrong in made.items()
        if not (name in by_chance and _equal(wrong, right))
    }


def _noise(right: Tensor, generator: torch.Generator) -> Tensor:
    if not right.is_floating_point():
        is_bool = right.dtype == torch.bool
        low, high = (0, 1) if is_bool else (int(right.min()), int(right.max()))
        drawn = torch.randint(low, high + 2 - is_bool, right.shape, generator=generator)
        return drawn.to(right.device, right.dtype)
    wide = right.double()
    if right.numel() == 1:
        return (1.1 * wide).to(right.dtype)
    drawn = torch.randn(right.shape, generator=generator, dtype=torch.float64).to(right.device)
    # What does not vary gets noise of its own size.
    deviation = wide.std() if wide.std() > 0 else wide.abs().max()
    return (wide.mean() + deviation * drawn).to(right.dtype)


def _constant(right: Tensor) -> Tensor:
    return torch.full_like(right, 0).copy_(right.double().mean())


def _rows(right: Tensor) -> int:
    return right.shape[0] if right.dim() > 0 else 1


def _rolled(right: Tensor) -> Tensor:
    return right.flatten().roll(1).view(right.shape)


def _cut(right: Tensor) -> Tensor:
    flat = right.clone().flatten()
    rows = _rows(right)
    step = right.numel() // rows if rows > 1 else 1
    missing = math.ceil(right.numel() // step / _TILE) * step
    flat[-missing:] = 0
    return flat.view(right.shape)


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), other.nan_to_num())


def _through(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda right: right.to(dtype).to(right.dtype)


def _five_bits(right: Tensor) -> Tensor:
    """Keep five bits of the fraction: what sums in eight bits would leave."""
    fraction, exponent = torch.frexp(right.float())
    return torch.ldexp((fraction * 32).round() / 32, exponent).to(right.dtype)


# Dtype of an output -> what to call one of too little precision, and how to make it.
_ROUNDED: Mapping[torch.dtype, tuple[str, Callable[[Tensor], Tensor]]] = {
    torch.float64: ("rounded to float32", _through(torch.float32)),
    torch.float32: ("rounded to bfloat16", _through(torch.bfloat16)),
    torch.float16: ("rounded to five bits", _five_bits),
}
