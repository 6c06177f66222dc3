"""Races of kmeans: twenty iterations from the same start, on data without any structure."""

import math
from functools import partial
from typing import Any, Literal

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race
from onetrip.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus

_ITERATIONS = 20
_CHECKED_ROWS = 4096
_BATCH = 4096


def _make(N: int, D: int, K: int) -> Inputs:
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(N, D, generator=generator, device="cuda")
    return {"x": x, "start": x[:K].clone()}


def _onetrip(inputs: Inputs, *, precision: Literal["certified", "fast"]) -> Any:
    centers, values = onetrip.kmeans(
        inputs["x"], inputs["start"], max_iter=_ITERATIONS, tol=0.0, precision=precision
    )
    return centers, values["labels"]


def _flashlib(inputs: Inputs, *, dtype: torch.dtype) -> Any:
    start = inputs["start"]
    labels, centers, _ = primitive("kmeans").flash_kmeans(
        inputs["x"].to(dtype),
        start.shape[0],
        max_iters=_ITERATIONS,
        tol=0.0,
        init_centroids=start.to(dtype).clone(),  # it is overwritten
        backend="triton",
    )
    return centers, labels


def _flash_kmeans(inputs: Inputs) -> Any:
    from flash_kmeans import batch_kmeans_Euclid  # pyright: ignore[reportMissingImports]

    start = inputs["start"]
    labels, centers, _ = batch_kmeans_Euclid(
        inputs["x"][None],
        n_clusters=start.shape[0],
        max_iters=_ITERATIONS,
        tol=0.0,
        init_centroids=start[None].clone(),
    )
    return centers[0], labels[0]


def _errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """Share of the rows, of those checked, whose label is not the nearest of the centres."""
    x, (centers, labels) = inputs["x"], answer
    rows = torch.linspace(0, x.shape[0] - 1, _CHECKED_ROWS, device=x.device).long()
    distances = torch.cdist(x[rows].double(), centers.double())
    chosen = distances.gather(1, labels[rows].long()[:, None]).squeeze(1)
    wrong = chosen > distances.amin(1) * (1 + 1e-12)
    return {"wrong_share": float(wrong.double().mean())}


def _race(name: str, N: int, D: int, K: int) -> Race:
    return Race(
        name,
        {"N": N, "D": D, "K": K},
        partial(_make, N, D, K),
        {
            "onetrip": partial(_onetrip, precision="certified"),
            "onetrip-fast": partial(_onetrip, precision="fast"),
            "flashlib": partial(_flashlib, dtype=torch.float32),
            "flashlib-bfloat16": partial(_flashlib, dtype=torch.bfloat16),
            "flash-kmeans": _flash_kmeans,
        },
        _errors,
        {"wrong_share": 0.0},
        {"max_iter": _ITERATIONS},
    )


def _start(inputs: Inputs) -> Any:
    return kmeans_plusplus(inputs["x"], inputs["K"], random_state=0)


def _start_by_calls(inputs: Inputs) -> Any:
    """The same steps in calls of torch, as they are usually written."""
    x, K = inputs["x"], inputs["K"]
    square, trials = x.square().sum(1), 2 + int(math.log(K))
    generator = torch.Generator(x.device).manual_seed(0)
    rows = torch.zeros(K, dtype=torch.int64, device=x.device)
    closest = torch.full_like(square, torch.inf)
    candidates = rows[:1]
    for turn in range(K):
        chosen = x[candidates]
        distances = torch.addmm(square, chosen, x.T, alpha=-2.0).add_(square[candidates][:, None])
        distances = torch.minimum(distances.clamp_min_(0.0), closest)  # [trials, N]
        best = distances.sum(1).argmin()
        rows[turn], closest = candidates[best], distances[best]
        drawn = torch.rand(trials, generator=generator, device=x.device, dtype=torch.float64)
        reached = closest.double().cumsum(0)
        candidates = torch.searchsorted(reached, drawn * reached[-1]).clamp_max_(len(x) - 1)
    return x[rows], rows


def _make_clusters(N: int, D: int, K: int) -> Inputs:
    """As many groups as centres are asked for."""
    generator = torch.Generator("cuda").manual_seed(0)
    centers = 4.0 * torch.randn(K, D, generator=generator, device="cuda")
    x = torch.randn(N, D, generator=generator, device="cuda")
    x += centers[torch.randint(K, (N,), generator=generator, device="cuda")]
    return {"x": x, "K": K}


def _start_errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """Share of centres that are not the samples they say, and of those that are there twice."""
    x, (centers, rows) = inputs["x"], answer
    wrong = (x[rows] != centers).any(1).double().mean()
    return {"wrong_share": float(wrong), "repeated": len(rows) - len(rows.unique())}


def _start_race(name: str, N: int, D: int, K: int) -> Race:
    return Race(
        name,
        {"N": N, "D": D, "K": K},
        partial(_make_clusters, N, D, K),
        {"onetrip": _start, "torch": _start_by_calls},
        _start_errors,
        {"wrong_share": 0.0, "repeated": 0.0},
        runs="KMeans.start",
    )


def _make_fitted(N: int, D: int, K: int) -> Inputs:
    inputs = _make(N, D, K)
    start = inputs["start"]
    model = KMeans(K, init=start, n_init=1, max_iter=1).fit(inputs["x"][: 2 * K])
    return {**inputs, "model": model, "centers": model.cluster_centers_}


def _transform(inputs: Inputs) -> Any:
    return inputs["model"].transform(inputs["x"])


def _distances_by_calls(inputs: Inputs) -> Any:
    return torch.cdist(inputs["x"], inputs["centers"])


def _distance_errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """Largest relative error of a distance, of the rows checked."""
    x = inputs["x"]
    rows = torch.linspace(0, x.shape[0] - 1, _CHECKED_ROWS, device=x.device).long()
    mode = "donot_use_mm_for_euclid_dist"
    true = torch.cdist(x[rows].double(), inputs["centers"].double(), compute_mode=mode)
    error = (answer[rows].double() - true).abs() / true.clamp_min(1e-30)
    return {"relative": float(error.max())}


def _batches(inputs: Inputs) -> Any:
    """One pass over the samples in batches, and the labels of all of them."""
    start = inputs["start"]
    options = {"batch_size": _BATCH, "max_iter": 1, "max_no_improvement": None, "random_state": 0}
    model = MiniBatchKMeans(start.shape[0], init=start, n_init=1, **options).fit(inputs["x"])
    return model.cluster_centers_, model.labels_


def _batches_by_calls(inputs: Inputs) -> Any:
    """The same steps in calls of torch, as they are usually written, without reassignment."""
    x, centers = inputs["x"], inputs["start"].clone()
    counts = torch.zeros(centers.shape[0], device=x.device)
    generator = torch.Generator(x.device).manual_seed(0)
    for _ in range(x.shape[0] // _BATCH):
        batch = x[torch.randint(x.shape[0], (_BATCH,), generator=generator, device=x.device)]
        labels = torch.cdist(batch, centers).argmin(1)
        sums = torch.zeros_like(centers).index_add_(0, labels, batch)
        weight = torch.bincount(labels, minlength=centers.shape[0]).float()
        counts += weight
        centers += (sums - weight[:, None] * centers) / counts.clamp_min(1.0)[:, None]
    parts = [torch.cdist(part, centers).argmin(1) for part in x.split(1 << 18)]
    return centers, torch.cat(parts)


RACES = (
    _race("1m-128", 1_000_000, 128, 1024),
    _race("500k-256", 500_000, 256, 8192),
    _race("1m-64", 1_000_000, 64, 256),
    _race("4m-32", 4_000_000, 32, 100),
    _start_race("start-1m-128", 1_000_000, 128, 1024),
    _start_race("start-1m-64", 1_000_000, 64, 256),
    _start_race("start-4m-32", 4_000_000, 32, 100),
    _start_race("start-50k-32", 50_000, 32, 100),
    Race(
        "transform-100k-128",
        {"N": 100_000, "D": 128, "K": 1024},
        partial(_make_fitted, 100_000, 128, 1024),
        {"onetrip": _transform, "torch": _distances_by_calls},
        _distance_errors,
        {"relative": 2.0**-22},
        runs="KMeans.transform",
    ),
    Race(
        "batches-1m-128",
        {"N": 1_000_000, "D": 128, "K": 100},
        partial(_make, 1_000_000, 128, 100),
        {"onetrip": _batches, "torch": _batches_by_calls},
        _errors,
        {"wrong_share": 0.0},
        options={"max_iter": 1, "batch_size": _BATCH},
        runs="MiniBatchKMeans.batches+label",
    ),
)
