"""The definition of kneighbors in plain torch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def kneighbors_reference(
    queries: Tensor,
    corpus: Tensor,
    *,
    n_neighbors: int,
    metric: str = "euclidean",
    exclude_self: bool = False,
    precision: str = "certified",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute it as everybody does: all distances, sorted.

    In float64 this is the truth; in the working dtype it is what plain torch users have today,
    half precision widened to float32. `precision` changes nothing here.
    """
    wide = torch.float64 if queries.dtype == torch.float64 else torch.float32
    x, y = queries.to(wide), corpus.to(wide)
    if metric == "inner_product":
        keys = -(x @ y.T)  # [Q, N]
    elif metric == "cosine":
        keys = 1.0 - torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T
    else:
        keys = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    if exclude_self:
        keys.fill_diagonal_(torch.inf)
    keys, order = keys.sort(dim=1, stable=True)
    if n_neighbors > keys.shape[1]:
        raise ValueError(f"{n_neighbors} neighbours of {keys.shape[1]} rows")
    keys, indices = keys[:, :n_neighbors].contiguous(), order[:, :n_neighbors].contiguous()
    if metric == "inner_product":
        keys = -keys
    elif metric == "cosine":
        keys = keys.clamp(0.0, 2.0)
    elif metric == "sqeuclidean":
        keys = keys.square()
    return keys, {"indices": indices}


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw queries and corpus for one problem.

    `data` is "random" (normal), "offset" (normal, all moved by 100, where products cancel),
    "duplicated" (every corpus row stands there three times) or "self" (the corpus asks).
    """
    generator = torch.Generator(device).manual_seed(seed)
    Q, N, D = axes["Q"], axes["N"], axes["D"]
    corpus = torch.randn(N, D, generator=generator, device=device)
    queries = torch.randn(Q, D, generator=generator, device=device)
    if data == "offset":
        corpus, queries = corpus + 100.0, queries + 100.0
    elif data == "duplicated":
        corpus = corpus[: -(-N // 3)].repeat(3, 1)[:N]
    elif data == "self":
        queries = corpus[:Q].clone()
    return {"queries": queries.to(dtype), "corpus": corpus.to(dtype)}
