"""Races of kmeans: twenty iterations from the same start, on data without any structure."""

from functools import partial
from typing import Any, Literal

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race

_ITERATIONS = 20
_CHECKED_ROWS = 4096


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


RACES = (
    _race("1m-128", 1_000_000, 128, 1024),
    _race("500k-256", 500_000, 256, 8192),
    _race("1m-64", 1_000_000, 64, 256),
    _race("4m-32", 4_000_000, 32, 100),
)
