"""The definition of scaled_relu in plain torch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def scaled_relu_reference(x: Tensor, *, scale: float = 1.0) -> Tensor:
    """Compute it as everybody does, with the product in memory.

    In float64 this is the truth; in the working dtype it is what plain torch users have today.
    """
    return torch.relu(x * scale)


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw tensors with meaningful values for one problem: normal ones, half of them negative."""
    generator = torch.Generator(device).manual_seed(seed)
    x = torch.randn(axes["N"], axes["D"], generator=generator, device=device)
    return {"x": x.to(dtype)}
