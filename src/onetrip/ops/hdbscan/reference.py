"""The definition of hdbscan's spanning tree in plain torch, with N × N distances in memory."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def hdbscan_reference(
    x: Tensor,
    *,
    min_samples: int,
    alpha: float = 1.0,
    metric: str = "euclidean",
    precision: str = "certified",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Take edges in order of weight, then of their points, unless both ends are joined already.

    In float64 this is the truth. `metric` and `precision` have one meaning here.
    """
    x = x if x.dtype in (torch.float32, torch.float64) else x.float()
    N = x.shape[0]
    distance = (x[:, None] - x[None, :]).square().sum(2).sqrt()  # [N, N]
    core = distance.kthvalue(min(min_samples, N), dim=1).values  # d(x, min_samples-th nearest)
    reach = torch.maximum(distance / alpha, torch.maximum(core[:, None], core[None, :]))
    source, target = torch.triu_indices(N, N, 1, device=x.device)
    # A stable sort of pairs that stand in order of their points.
    weight, rank = reach[source, target].sort(stable=True)
    group, kept = list(range(N)), []
    for edge, (i, j) in enumerate(zip(source[rank].tolist(), target[rank].tolist(), strict=True)):
        if group[i] != group[j]:
            kept.append(edge)
            gone = group[j]
            group = [group[i] if g == gone else g for g in group]
    chosen = torch.tensor(kept, dtype=torch.int64, device=x.device)
    ends = {"source": source[rank][chosen], "target": target[rank][chosen]}
    return weight[chosen], {**ends, "core_distance": core}


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw points: normal ("random"), in sixteen groups ("blobs"), or far away ("offset")."""
    generator = torch.Generator(device).manual_seed(seed)
    N, D = axes["N"], axes["D"]
    x = torch.randn(N, D, generator=generator, device=device, dtype=torch.float64)
    if data == "blobs":
        centres = 20.0 * torch.rand(16, D, generator=generator, device=device).double()
        x = x + centres[torch.randint(16, (N,), generator=generator, device=device)]
    if data == "offset":
        x = x + 100.0
    return {"x": x.to(dtype)}
