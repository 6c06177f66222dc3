"""Races of tsne, five hundred iterations: twenty clusters; one cloud; one that only we can run."""

import importlib
from functools import partial
from typing import Any

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race
from onetrip.ops.tsne.torch_impl import make_forces

_CLUSTERS = 20
_ITERATIONS = 500
_CHECKED_ROWS = 2000


def _make(N: int, D: int) -> Inputs:
    generator = torch.Generator("cuda").manual_seed(0)
    centres = 4 * torch.randn(_CLUSTERS, D, generator=generator, device="cuda")
    x = torch.randn(N, D, generator=generator, device="cuda")
    labels = torch.arange(N, device="cuda") % _CLUSTERS
    return {"x": x + centres[labels], "labels": labels}


def _onetrip(inputs: Inputs) -> Any:
    return onetrip.tsne(inputs["x"], max_iter=_ITERATIONS)[0]


def _flashlib(inputs: Inputs) -> Any:
    run = primitive("tsne").flash_tsne
    return run(inputs["x"], n_iter=_ITERATIONS, lr=200.0, perplexity=30.0, seed=0)


def _torchdr(inputs: Inputs) -> Any:
    estimator = importlib.import_module("torchdr").TSNE
    run = estimator(perplexity=30, max_iter=_ITERATIONS, device="cuda", random_state=0)
    return run.fit_transform(inputs["x"])


def _errors(inputs: Inputs, embedding: Any) -> dict[str, float]:
    """Share of samples whose nearest neighbour in the embedding is of another cluster."""
    labels, N = inputs["labels"], embedding.shape[0]
    rows = torch.linspace(0, N - 1, min(_CHECKED_ROWS, N), device=labels.device).long()
    distances = torch.cdist(embedding[rows].double(), embedding.double())
    distances[torch.arange(len(rows), device=rows.device), rows] = torch.inf
    mixed = labels[distances.argmin(1)] != labels[rows]
    return {"mixed_share": float(mixed.double().mean())}


def _make_cloud(N: int, D: int) -> Inputs:
    """One normal cluster: all pairs count."""
    generator = torch.Generator("cuda").manual_seed(0)
    return {"x": torch.randn(N, D, generator=generator, device="cuda")}


def _onetrip_cloud(inputs: Inputs) -> Any:
    embedding, found = onetrip.tsne(inputs["x"], max_iter=_ITERATIONS)
    return embedding, found["kl_divergence"]


def _cloud_errors(inputs: Inputs, answer: Any) -> dict[str, float]:
    """Divergence of the embedding in float64, and how far off what was said of it is.

    What is said is of the step before the last. A peer says nothing, which is not off.
    """
    embedding, said = answer if isinstance(answer, tuple) else (answer, None)
    forces = make_forces(inputs["x"].double(), 2, 30.0, 8 << 30, {"tile": 4096})
    truth = forces(embedding.double(), 1.0, True)[1]
    off = 0.0 if said is None else abs(float(said) / truth - 1.0)
    return {"kl_divergence": truth, "divergence_off": off}


def _race(name: str, N: int, D: int, contenders: dict[str, Any]) -> Race:
    return Race(
        name,
        {"N": N, "D": D},
        partial(_make, N, D),
        contenders,
        _errors,
        {"mixed_share": 0.01},
        {"max_iter": _ITERATIONS},
    )


RACES = (
    _race("20k-128", 20_000, 128, {"onetrip": _onetrip, "flashlib": _flashlib}),
    Race(
        "20k-128-cloud",
        {"N": 20_000, "D": 128},
        partial(_make_cloud, 20_000, 128),
        {"onetrip": _onetrip_cloud, "flashlib": _flashlib},
        _cloud_errors,
        {"divergence_off": 1e-3},
        {"max_iter": _ITERATIONS, "counted_share": 1.0},
    ),
    # TorchDR ran past 75 s at 20,000 samples: it has a race of its own size.
    _race("5k-128", 5000, 128, {"onetrip": _onetrip, "flashlib": _flashlib, "torchdr": _torchdr}),
    # The indices of FlashLib's N x N matrices do not fit 32 bits here.
    _race("100k-50", 100_000, 50, {"onetrip": _onetrip}),
)
