"""The definition of k-means in plain torch, with all distances in memory."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def kmeans_reference(
    x: Tensor,
    centers: Tensor,
    *,
    max_iter: int = 300,
    tol: float = 1e-4,
    sample_weight: Tensor | None = None,
    metric: str = "euclidean",
    precision: str = "certified",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Lloyd's iterations as scikit-learn defines them, one line for each step.

    `precision` changes nothing here: differences in the working dtype are what is certified.
    """
    x, centers = (x.float(), centers.float()) if x.itemsize < 4 else (x, centers.to(x.dtype))
    weight = torch.ones_like(x[:, 0]) if sample_weight is None else sample_weight.to(x.dtype)
    spherical = metric == "cosine"
    if spherical:
        x, centers = F.normalize(x, dim=1), F.normalize(centers, dim=1)
    tolerance = tol * (x - x.mean(0)).square().mean()
    labels = torch.full_like(x[:, 0], -1, dtype=torch.int64)
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        before, labels = labels, _distances(x, centers).argmin(1)
        if torch.equal(before, labels):
            break
        sums = sums_by_cluster(x * weight[:, None], labels, len(centers))
        total = sums_by_cluster(weight[:, None], labels, len(centers)).squeeze(1)
        _relocate(x, centers, weight, labels, sums, total)
        after = sums / total[:, None]
        after = torch.where((total > 0)[:, None], after, after[total.argmax()])
        after = F.normalize(after, dim=1) if spherical else after
        shift, centers = (after - centers).square().sum(), after
        if shift <= tolerance:
            break
    distances = _distances(x, centers)
    labels = distances.argmin(1)
    terms = distances.gather(1, labels[:, None]).squeeze(1).square() * weight
    return centers, {
        "labels": labels.int(),
        "inertia": terms.double().sum() * (0.5 if spherical else 1.0),
        "n_iter": torch.tensor(n_iter, device=x.device),
    }


def _distances(x: Tensor, centers: Tensor) -> Tensor:
    # By differences: the expansion into norms and a product loses the digits of near points.
    return torch.cdist(x, centers, compute_mode="donot_use_mm_for_euclid_dist")  # [N, K]


def sums_by_cluster(values: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """Sums [K, M] of the rows of `values` [N, M], one after another in the order of the samples.

    `index_add_` adds in this order on a CPU, and in any order on a device.
    """
    in_order = values[labels.argsort(stable=True)]
    lengths = labels.bincount(minlength=clusters)
    return torch.segment_reduce(in_order, "sum", lengths=lengths, axis=0, initial=0)


def _relocate(
    x: Tensor, centers: Tensor, weight: Tensor, labels: Tensor, sums: Tensor, total: Tensor
) -> None:
    """Empty clusters take the rows farthest from their centres, in scikit-learn's order."""
    distance = (x - centers[labels]).square().sum(1)
    farthest = distance.argsort(descending=True, stable=True)
    if distance[farthest[0]] == 0:
        return
    empty = (total == 0).nonzero().squeeze(1)
    for cluster, row in zip(empty.tolist(), farthest.tolist(), strict=False):
        term = x[row] * weight[row]
        sums[labels[row]] -= term
        total[labels[row]] -= weight[row]
        sums[cluster], total[cluster] = term, weight[row]


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "blobs",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw samples and a start.

    "blobs": clusters ten apart along the first feature, a start near each. "poor-start": the
    same, started from the first samples, so that clusters move, split and fall empty. "noise":
    normal samples without clusters, started from the first of them. "offset": blobs far from
    the origin.
    """
    N, D, K = (axes[letter] for letter in "NDK")
    generator = torch.Generator(device).manual_seed(seed)
    x = torch.randn(N, D, generator=generator, device=device)
    start = torch.randn(K, D, generator=generator, device=device)
    if data != "noise":
        place = torch.arange(K, device=device) * 10.0
        x[:, 0] += place[torch.randint(K, (N,), generator=generator, device=device)]
        start[:, 0] += place
    if data in ("noise", "poor-start"):
        start[: min(N, K)] = x[: min(N, K)]
    if data == "offset":
        x, start = x + 100.0, start + 100.0
    inputs = {"x": x.to(dtype), "centers": start.to(dtype)}
    if "sample_weight" in optional_inputs:
        weight = torch.rand(N, generator=generator, device=device) + 0.5
        inputs["sample_weight"] = weight
    return inputs
