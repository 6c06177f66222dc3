"""Races of multinomial_nb: fit and predict on counts of words."""

from functools import partial
from typing import Any

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race
from onetrip.naive_bayes import MultinomialNB

_CHECKED_ROWS = 4096


def _make(N: int, D: int, C: int) -> Inputs:
    generator = torch.Generator("cuda").manual_seed(0)
    rate = 2.0 * torch.rand(C, D, generator=generator, device="cuda") ** 4
    y = torch.randint(0, C, (N,), generator=generator, device="cuda")
    x = torch.empty(N, D, device="cuda")
    for rows in torch.arange(N, device="cuda").split(20_000):
        x[rows] = torch.poisson(rate[y[rows]], generator=generator)
    return {"x": x, "y": y, "C": C}


def _onetrip(inputs: Inputs) -> Any:
    return MultinomialNB().fit(inputs["x"], inputs["y"]).predict(inputs["x"])


def _torch(inputs: Inputs) -> Any:
    x, y, C = inputs["x"], inputs["y"], inputs["C"]
    one_hot = torch.nn.functional.one_hot(y, C).float()
    log_prob, log_prior = _learnt((one_hot.T @ x).double(), one_hot.double().sum(0))
    return (x @ log_prob.float().T + log_prior.float()).argmax(1)


def _flashlib(inputs: Inputs) -> Any:
    module, x = primitive("multinomial_nb"), inputs["x"]
    model = module.flash_multinomial_nb_fit(x, inputs["y"], n_classes=inputs["C"])
    return module.flash_multinomial_nb_predict(x, model)


def _learnt(features: Any, classes: Any) -> tuple[Any, Any]:
    smoothed = features + 1.0
    log_prob = smoothed.log() - smoothed.sum(1, True).log()
    return log_prob, classes.log() - classes.sum().log()


def _errors(inputs: Inputs, labels: Any) -> dict[str, float]:
    """Share of the rows, of those checked, that are not of the likeliest class of float64."""
    x, y, C = inputs["x"], inputs["y"], inputs["C"]
    features = torch.zeros(C, x.shape[1], dtype=torch.float64, device=x.device)
    for rows in torch.arange(x.shape[0], device=x.device).split(20_000):
        features.index_add_(0, y[rows], x[rows].double())
    log_prob, log_prior = _learnt(features, y.bincount(minlength=C).double())
    rows = torch.linspace(0, x.shape[0] - 1, _CHECKED_ROWS, device=x.device).long()
    scores = x[rows].double() @ log_prob.T + log_prior
    chosen = scores.gather(1, labels[rows].long()[:, None]).squeeze(1)
    wrong = chosen < scores.amax(1) - 1e-9 * scores.abs().amax(1)
    return {"wrong_share": float(wrong.double().mean())}


def _counts(inputs: Inputs) -> Any:
    """The operator alone: one trip over the samples."""
    zeros = partial(torch.zeros, dtype=torch.float64, device=inputs["x"].device)
    C, D = inputs["C"], inputs["x"].shape[1]
    return onetrip.multinomial_nb(inputs["x"], inputs["y"], zeros(C, D), zeros(C))[0]


def _wrong_counts(inputs: Inputs, features: Any) -> dict[str, float]:
    x, y = inputs["x"], inputs["y"]
    truth = torch.zeros_like(features)
    for rows in torch.arange(x.shape[0], device=x.device).split(20_000):
        truth.index_add_(0, y[rows], x[rows].double())
    return {"wrong_counts": float((features != truth).sum())}


def _race(name: str, N: int, D: int, C: int) -> Race:
    return Race(
        name,
        {"N": N, "D": D, "C": C},
        partial(_make, N, D, C),
        {"onetrip": _onetrip, "flashlib": _flashlib, "torch": _torch},
        _errors,
        {"wrong_share": 0.0},
        runs="MultinomialNB",
    )


def _fit(name: str, N: int, D: int, C: int) -> Race:
    return Race(
        f"{name}-counts",
        {"N": N, "D": D, "C": C},
        partial(_make, N, D, C),
        {"onetrip": _counts},
        _wrong_counts,
        {"wrong_counts": 0.0},
    )


RACES = (
    _race("200k-5000", 200_000, 5000, 20),
    _race("1m-1000", 1_000_000, 1000, 20),
    _race("thousand-classes", 100_000, 8000, 1000),
    _fit("200k-5000", 200_000, 5000, 20),
    _fit("thousand-classes", 100_000, 8000, 1000),
)
