"""Races of truncated_svd: tall samples with a falling spectrum, as they are and centred (PCA).

And of a fitted PCA: the coordinates of samples along its components.
"""

import importlib
from functools import partial
from typing import Any

import torch

import onetrip
from device_races.flashlib_imports import primitive
from device_races.protocol import Inputs, Race
from onetrip.decomposition import PCA

# TorchDR decomposes all of the samples, which takes seconds beyond this.
_MOST_OF_A_WHOLE_SVD = 1 << 28


def _make(N: int, D: int, *, center: bool) -> Inputs:
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(N, D, generator=generator, device="cuda")
    x /= 1 + torch.arange(D, device="cuda") / 16
    return {"x": x, "centred": x - x.mean(0) if center else None}


def _onetrip(inputs: Inputs, *, k: int, center: bool) -> Any:
    return onetrip.truncated_svd(inputs["x"], n_components=k, center=center)[0]


def _gram(inputs: Inputs, *, k: int, center: bool) -> Any:
    x = inputs["x"] - inputs["x"].mean(0) if center else inputs["x"]
    values, _ = torch.linalg.eigh(x.T @ x)
    return values.flip(0)[:k].clamp_min(0).sqrt()


def _lowrank(inputs: Inputs, *, k: int) -> Any:
    return torch.svd_lowrank(inputs["x"], k)[1]


def _flashlib(inputs: Inputs, *, k: int) -> Any:
    return primitive("truncated_svd").flash_truncated_svd(inputs["x"], k)[0]


def _flashlib_pca(inputs: Inputs, *, k: int) -> Any:
    """It does not centre: the copy that it needs is made for it outside the clock."""
    variances, _ = primitive("pca").flash_pca(inputs["centred"], k)
    return (variances * inputs["x"].shape[0]).clamp_min(0).sqrt().sort(descending=True).values


def _torchdr_pca(inputs: Inputs, *, k: int) -> Any:
    """It keeps no singular values: they are the lengths of the columns of its projection."""
    estimator = importlib.import_module("torchdr").PCA(n_components=k, device="cuda")
    return estimator.fit_transform(inputs["x"]).norm(dim=0)


def _errors(inputs: Inputs, values: Any, *, k: int, center: bool) -> dict[str, float]:
    """Largest relative error of a singular value."""
    x = inputs["x"]
    D = x.shape[1]
    shift = x.double().mean(0) if center else torch.zeros(D, device=x.device).double()
    gram = torch.zeros(D, D, dtype=torch.float64, device=x.device)
    for part in x.split(1 << 16):
        wide = part.double() - shift
        gram.addmm_(wide.T, wide)
    truth = torch.linalg.eigvalsh(gram).flip(0)[:k].sqrt()
    return {"relative_error": float(((values.double() - truth) / truth).abs().max())}


def _race(name: str, N: int, D: int, k: int, *, center: bool) -> Race:
    contenders = {
        "onetrip": partial(_onetrip, k=k, center=center),
        "torch-gram-eigh": partial(_gram, k=k, center=center),
    }
    if center:
        contenders["flashlib"] = partial(_flashlib_pca, k=k)
        if N * D <= _MOST_OF_A_WHOLE_SVD:
            contenders["torchdr"] = partial(_torchdr_pca, k=k)
    else:
        contenders["flashlib"] = partial(_flashlib, k=k)
        contenders["torch-svd-lowrank"] = partial(_lowrank, k=k)
    return Race(
        name,
        {"N": N, "D": D, "K": k},
        partial(_make, N, D, center=center),
        contenders,
        partial(_errors, k=k, center=center),
        {"relative_error": 1e-6},
        {"center": center},
    )


def _make_fitted(N: int, D: int, *, k: int) -> Inputs:
    x = _make(N, D, center=False)["x"] + 3.0
    return {"x": x, "model": PCA(n_components=k).fit(x)}


def _transform(inputs: Inputs) -> Any:
    return inputs["model"].transform(inputs["x"])


def _transform_in_torch(inputs: Inputs) -> Any:
    model = inputs["model"]
    return (inputs["x"] - model.mean_) @ model.components_.T


def _coordinate_errors(inputs: Inputs, found: Any) -> dict[str, float]:
    """Largest error of a coordinate over the largest coordinate."""
    x, model = inputs["x"], inputs["model"]
    wrong, largest = [], []
    for part, rows in zip(x.split(1 << 16), found.split(1 << 16), strict=True):
        truth = (part.double() - model.mean_.double()) @ model.components_.double().T
        wrong.append((rows - truth).abs().max())
        largest.append(truth.abs().max())
    return {"relative_error": float(torch.stack(wrong).max() / torch.stack(largest).max())}


def _transform_race(name: str, N: int, D: int, k: int) -> Race:
    return Race(
        name,
        {"N": N, "D": D, "K": k},
        partial(_make_fitted, N, D, k=k),
        {"onetrip": _transform, "torch": _transform_in_torch},
        _coordinate_errors,
        {"relative_error": 1e-6},
        runs="PCA.transform",
    )


_SIZES = (("1m-256", 1_000_000, 256, 32), ("500k-1024", 500_000, 1024, 64))

RACES = (
    *(
        _race(f"{kind}-{size}", N, D, k, center=kind == "pca")
        for size, N, D, k in _SIZES
        for kind in ("svd", "pca")
    ),
    _transform_race("transform-1m-128", 1_000_000, 128, 32),
    _transform_race("transform-500k-512", 500_000, 512, 128),
)
