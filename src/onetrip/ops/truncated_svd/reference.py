"""The definition of truncated_svd in plain torch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def truncated_svd_reference(
    x: Tensor, *, n_components: int | None = None, center: bool = False, **approximation: object
) -> tuple[Tensor, dict[str, Tensor]]:
    """Decompose a centred copy in full, and keep the largest.

    `approximation` holds the options of solvers, which choose a way and not a result. In float64
    this is the truth; in the working dtype it is what plain torch users have today.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    mean = wide.mean(0)  # [D]
    deviation = wide - mean  # [N, D]
    _, singular_values, components = torch.linalg.svd(
        deviation if center else wide, full_matrices=False
    )
    kept = min(n_components or singular_values.numel(), singular_values.numel())
    components = components[:kept]  # [K, D]
    # The sign is free: the largest entry of each vector is made positive.
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    # Sums are of float64, as one in float32 would add more than all else to what is rounded.
    total = deviation.square().sum(dtype=torch.float64)
    left = singular_values[kept:].double().square().sum()
    return singular_values[:kept], {
        "components": components * torch.where(largest < 0, -1.0, 1.0).to(components.dtype),
        "mean": mean,
        "total_variance": (total / x.shape[0]).to(wide.dtype),
        "residual": (left / x.shape[0]).to(wide.dtype),
    }


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw a matrix whose singular values are well apart, as vectors of equal ones are arbitrary.

    "random" lets the features' spread fall like 1 / (1 + j / 4); "offset" adds a common mean a
    hundred times the largest; "steep" falls over six decades.
    """
    N, D = axes["N"], axes["D"]
    generator = torch.Generator(device).manual_seed(seed)
    x = torch.randn(N, D, generator=generator, device=device)
    feature = torch.arange(D, device=device)
    if data == "steep":
        x = x * 10.0 ** (-6.0 * feature / max(1, D - 1))
    else:
        x = x / (1.0 + feature / 4.0)
    if data == "offset":
        x = x + 100.0
    return {"x": x.to(dtype)}
