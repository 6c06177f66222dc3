"""Races of kneighbors: exact neighbours of all and of one, few and many, near and far away.

And of what its estimators do with neighbours that are found: votes, and means of targets.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race
from onetrip.estimators.arrays import Given
from onetrip.estimators.neighbor_search import Neighbors
from onetrip.neighbors import KNeighborsClassifier, KNeighborsRegressor

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


@dataclass(frozen=True, slots=True)
class _Found:
    """A corpus that was asked before: what is left to time is what an estimator makes of it."""

    given: Given
    neighbors: Neighbors

    def nearest(self, queries: Given | None, k: int, *, ranked: bool = True) -> Neighbors:
        return self.neighbors


def _make_fitted(model: Any, Q: int, N: int, D: int, columns: int) -> Inputs:
    """Labels of as many classes, or targets of as many outputs, and any neighbours."""
    generator = torch.Generator("cuda").manual_seed(0)
    draw = partial(torch.randn, generator=generator, device="cuda")
    x, y, K = draw(Q, D), draw(N, D), model.n_neighbors
    if isinstance(model, KNeighborsClassifier):
        targets = torch.randint(columns, (N,), generator=generator, device="cuda")
        targets[:columns] = torch.arange(columns, device="cuda")
    else:
        targets = draw(N, columns, dtype=torch.float64)
    indices = torch.randint(N, (Q, K), generator=generator, device="cuda")
    distances = draw(Q, K, dtype=torch.float64).abs_().sort(1).values
    fitted: Any = model.fit(y, targets)
    fitted._corpus = _Found(fitted._corpus.given, Neighbors(distances, indices, 0))
    return {"x": x, "model": model, "targets": targets, "indices": indices, "columns": columns}


def _predict(inputs: Inputs) -> Any:
    return inputs["model"].predict(inputs["x"])


def _votes_by_calls(inputs: Inputs) -> Any:
    """The most frequent label: each query's labels are counted, and the first maximum taken."""
    labels = inputs["targets"][inputs["indices"]]
    counts = torch.zeros(len(labels), inputs["columns"], device=labels.device)
    return counts.scatter_add_(1, labels, torch.ones_like(labels, dtype=counts.dtype)).argmax(1)


def _means_by_calls(inputs: Inputs) -> Any:
    return inputs["targets"][inputs["indices"]].mean(1)


def _vote_errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """Share of the checked queries whose class is not the smallest of the most frequent."""
    labels = inputs["targets"][inputs["indices"][:_CHECKED_QUERIES]]
    counts = torch.nn.functional.one_hot(labels, inputs["columns"]).sum(1)
    wrong = answer[:_CHECKED_QUERIES] != counts.argmax(1)
    return {"wrong_share": float(wrong.double().mean())}


def _mean_errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """Largest difference to means that are summed one neighbour after the other."""
    neighbors = inputs["indices"][:_CHECKED_QUERIES]
    total = sum(inputs["targets"][column] for column in neighbors.T)
    off = answer[:_CHECKED_QUERIES] - total / neighbors.shape[1]
    return {"off": float(off.abs().max())}


def _predict_race(
    name: str, Q: int, K: int, *, n_classes: int | None = None, n_outputs: int = 1
) -> Race:
    """Votes for classes where there are some, else means of outputs."""
    N, D = 10_000, 16
    if n_classes is None:
        kind, columns, options = KNeighborsRegressor, n_outputs, {"n_outputs": n_outputs}
        by_calls, errors, allowed = _means_by_calls, _mean_errors, {"off": 2.0**-40}
    else:
        kind, columns, options = KNeighborsClassifier, n_classes, {"n_classes": n_classes}
        by_calls, errors, allowed = _votes_by_calls, _vote_errors, {"wrong_share": 0.0}
    return Race(
        name,
        {"Q": Q, "N": N, "D": D, "K": K},
        lambda: _make_fitted(kind(K, device="cuda"), Q, N, D, columns),
        {"onetrip": _predict, "torch": by_calls},
        errors,
        allowed,
        options=options,
        runs=f"{kind.__name__}.predict",
    )


RACES = (
    _race("square", 100_000, 100_000, 128, 10),
    _race("wide", 10_000, 1_000_000, 128, 10),
    _race("one-query", 1, 10_000_000, 128, 10),
    _race("many-neighbors", 100_000, 100_000, 128, 64),
    _race("far-away", 10_000, 100_000, 8, 10, offset=100.0),
    _predict_race("votes-10k-10", 10_000, 5, n_classes=10),
    _predict_race("votes-1m-10", 1_000_000, 10, n_classes=10),
    _predict_race("votes-1m-100", 1_000_000, 64, n_classes=100),
    _predict_race("votes-200k-1000", 200_000, 10, n_classes=1000),
    _predict_race("means-10k-1", 10_000, 5, n_outputs=1),
    _predict_race("means-1m-1", 1_000_000, 10, n_outputs=1),
    _predict_race("means-200k-32", 200_000, 10, n_outputs=32),
)
