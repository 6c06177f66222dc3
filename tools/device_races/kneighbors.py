"""Races of kneighbors: exact neighbours of all and of one, few and many, near and far away."""

from functools import partial
from typing import Any, Literal

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race

_CHECKED_QUERIES = 64


def _make(Q: int, N: int, D: int, offset: float) -> Inputs:
    generator = torch.Generator("cuda").manual_seed(0)
    y = torch.randn(N, D, generator=generator, device="cuda") + offset
    return {"x": torch.randn(Q, D, generator=generator, device="cuda") + offset, "y": y}


def _onetrip(inputs: Inputs, *, k: int, precision: Literal["certified", "fast"]) -> Any:
    x, y = inputs["x"], inputs["y"]
    return onetrip.kneighbors(x, y, n_neighbors=k, precision=precision)[1]["indices"]


def _flashlib(inputs: Inputs, *, k: int) -> Any:
    return primitive("knn").flash_knn(inputs["x"], inputs["y"], k, backend="triton")[1].long()


def _torch(inputs: Inputs, *, k: int) -> Any:
    """Blocks of queries that leave 4 GiB of distances."""
    x, y = inputs["x"], inputs["y"]
    blocks = x.split(max(1, 2**30 // y.shape[0]))
    return torch.cat([torch.cdist(block, y).topk(k, largest=False).indices for block in blocks])


def _errors(inputs: Inputs, indices: Any, *, k: int) -> dict[str, float]:
    """Share of the true neighbours that are missing, by distance: equals are as good."""
    x, y = inputs["x"], inputs["y"]
    rows = torch.linspace(0, x.shape[0] - 1, min(_CHECKED_QUERIES, x.shape[0])).long().unique()
    found = 0
    for row in rows.tolist():
        parts = [(part.double() - x[row].double()).square().sum(1) for part in y.split(2**20)]
        squares = torch.cat(parts)
        limit = squares.topk(k, largest=False).values[-1]
        found += int((squares[indices[row]] <= limit).sum())
    return {"missing_share": 1.0 - found / (k * len(rows))}


def _race(name: str, Q: int, N: int, D: int, k: int, *, offset: float = 0.0) -> Race:
    contenders = {
        "onetrip": partial(_onetrip, k=k, precision="certified"),
        "onetrip-fast": partial(_onetrip, k=k, precision="fast"),
        "flashlib": partial(_flashlib, k=k),
        "torch": partial(_torch, k=k),
    }
    return Race(
        name,
        {"Q": Q, "N": N, "D": D, "K": k},
        partial(_make, Q, N, D, offset),
        contenders,
        partial(_errors, k=k),
        {"missing_share": 0.0},
    )


RACES = (
    _race("square", 100_000, 100_000, 128, 10),
    _race("wide", 10_000, 1_000_000, 128, 10),
    _race("one-query", 1, 10_000_000, 128, 10),
    _race("many-neighbors", 100_000, 100_000, 128, 64),
    _race("far-away", 10_000, 100_000, 8, 10, offset=100.0),
)
