"""The definition of tsne in plain torch."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from onetrip.ops.tsne.descent import ForcedWalk, Schedule, descend


def tsne_reference(
    x: Tensor,
    *,
    n_components: int = 2,
    perplexity: float = 30.0,
    early_exaggeration: float = 12.0,
    learning_rate: float | None = None,
    max_iter: int = 1000,
    exploration_iter: int = 250,
    n_iter_without_progress: int = 300,
    min_grad_norm: float = 1e-7,
    init: Tensor | None = None,
    seed: int = 0,
    memory_budget: int | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Embed with every matrix of pairs in memory; `memory_budget` has no meaning here."""
    x = x if x.dtype == torch.float64 else x.float()
    p = joint_probabilities(x, perplexity)  # [N, N]
    freedom = max(n_components - 1, 1)

    def forces(y: Tensor, exaggeration: float, wanted: bool) -> tuple[Tensor, float]:
        difference = y[:, None, :] - y[None, :, :]  # [N, N, M]
        t = (1 + difference.square().sum(2) / freedom) ** (-(freedom + 1) / 2)
        t = t.fill_diagonal_(0.0)
        q = t / t.sum()
        pull = exaggeration * p
        gradient = ((pull - q) * t)[:, :, None].mul(difference).sum(1)
        divergence = torch.xlogy(
            pull, pull / q.clamp_min(1e-300 if q.dtype.itemsize == 8 else 1e-38)
        )
        return gradient * (2 * (freedom + 1) / freedom), float(divergence.sum())

    rate = learning_rate
    if rate is None:
        rate = default_rate(x.shape[0], early_exaggeration)
    schedule = Schedule(
        early_exaggeration, max_iter, exploration_iter, n_iter_without_progress, min_grad_norm
    )
    start = starting_points(x.shape[0], n_components, seed) if init is None else init
    y, divergence, last = descend(ForcedWalk(forces, start.to(x), rate), schedule)
    return y, {
        "kl_divergence": y.new_tensor(divergence),
        "n_iter": torch.tensor(last, device=x.device),
    }


def joint_probabilities(x: Tensor, perplexity: float) -> Tensor:
    """Bisect for the width of each sample, and symmetrise the conditional probabilities [N, N]."""
    N = x.shape[0]
    d = torch.stack([(row - x).square().sum(1) for row in x])  # [N, N]
    others = ~torch.eye(N, dtype=torch.bool, device=x.device)
    d = d[others].view(N, N - 1)
    d = d - d.amin(1, keepdim=True)
    # In units of each sample's mean, whose width the bisection then reaches whatever the scale.
    mean = d.mean(1, keepdim=True)
    d = d / torch.where(mean > 0, mean, 1.0)
    low = torch.full_like(d[:, :1], -60.0)
    high = torch.full_like(low, 60.0)
    conditional = d
    for _ in range(80):
        middle = (low + high) / 2
        conditional = torch.softmax(-middle.exp() * d, 1)
        entropy = torch.special.entr(conditional).sum(1, keepdim=True)
        wide = entropy > math.log(perplexity)
        low, high = torch.where(wide, middle, low), torch.where(wide, high, middle)
    p = torch.zeros(N, N, dtype=x.dtype, device=x.device)
    p[others] = conditional.flatten()
    return (p + p.T) / (2 * N)


def default_rate(N: int, early_exaggeration: float) -> float:
    """Learning rate of "auto" in scikit-learn: N / exaggeration / 4, at least 50."""
    return max(N / early_exaggeration / 4, 50.0)


def starting_points(N: int, n_components: int, seed: int) -> Tensor:
    """Normal numbers [N, n_components] of standard deviation 1e-4, float64, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return 1e-4 * torch.randn(N, n_components, generator=generator, dtype=torch.float64)


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw five clusters of normal samples; "offset" puts them ten spreads from the origin."""
    N, D = axes["N"], axes["D"]
    generator = torch.Generator(device).manual_seed(seed)
    centres = 4.0 * torch.randn(5, D, generator=generator, device=device)
    x = torch.randn(N, D, generator=generator, device=device)
    x = x + centres[torch.arange(N, device=device) % 5]
    if data == "offset":
        x = x + 40.0
    return {"x": x.to(dtype)}
