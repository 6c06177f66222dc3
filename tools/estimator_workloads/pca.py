"""Races of PCA: components, and the samples' coordinates along them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "truncated_svd"
ESTIMATOR = "PCA"


def _falling(n_samples: int, n_features: int) -> Data:
    """Normal samples whose variances fall, mixed by a random rotation, off the origin."""
    generator = np.random.default_rng(0)
    rank = min(n_samples, n_features)
    spread = 1.0 / np.sqrt(1.0 + np.arange(rank, dtype=np.float32))
    mix = generator.standard_normal((rank, n_features), dtype=np.float32) / np.float32(rank) ** 0.5
    draw = generator.standard_normal((n_samples, rank), dtype=np.float32)
    return {"X": (draw * spread) @ mix + np.float32(1.0)}


def _digits() -> Data:
    from sklearn.datasets import load_digits

    return {"X": np.tile(load_digits(return_X_y=True)[0], (10, 1))}


def _solve(data: Data, *, library: str, options: Mapping[str, Any]) -> Any:
    if library == "onetrip":
        from onetrip.decomposition import PCA
    else:
        from sklearn.decomposition import PCA
    model = PCA(**options, random_state=0)
    coordinates = model.fit_transform(data["X"])
    return model.singular_values_, model.components_, coordinates[:100]


def _check(data: Data, answers: Mapping[str, Any], *, exact: bool) -> None:
    """Our values are those of float64; random ones lose at most what scikit-learn's lose."""
    X = data["X"].astype(np.float64)
    X -= X.mean(0)
    small = X.T @ X if X.shape[0] >= X.shape[1] else X @ X.T
    values, components, _ = answers[OURS]
    true = np.sqrt(np.maximum(np.linalg.eigvalsh(small)[::-1][: len(values)], 0.0))
    if exact:
        np.testing.assert_allclose(values, true, rtol=1e-5)
    elif "sklearn" in answers:
        ours, theirs = (np.abs(found - true).max() for found in (values, answers["sklearn"][0]))
        if ours > 1.5 * theirs + 1e-5 * true[0]:
            raise AssertionError(f"values are off by {ours:g}, those of scikit-learn by {theirs:g}")
    np.testing.assert_allclose(components @ components.T, np.eye(len(values)), atol=1e-4)


def _race(name: str, samples: int, features: int, components: int, solver: str, why: str) -> Race:
    options = {"n_components": components, "svd_solver": solver}
    return Race(
        name=name,
        axes={"n_samples": samples, "n_features": features, "n_components": components},
        why=why,
        make=_digits if name == "digits" else partial(_falling, samples, features),
        contenders={
            library: partial(_solve, library=library, options=options)
            for library in ("onetrip", "sklearn")
        },
        check=partial(_check, exact=solver != "randomized"),
        dtype="float64" if name == "digits" else "float32",
    )


RACES = (
    _race("digits", 17_970, 64, 16, "auto", "real data in float64, ten times over"),
    _race("tall", 200_000, 128, 16, "covariance_eigh", "the Gram matrix of features"),
    _race("square", 1_500, 1_500, 20, "full", "all singular values on the way"),
    _race("wide", 1_000, 8_000, 20, "auto", "fewer samples than features"),
    _race("randomized", 20_000, 1_000, 20, "randomized", "power iterations"),
    _race("half-of-all", 30_000, 256, 128, "auto", "many components"),
)


def growth(n_samples: int) -> Race:
    """Sixteen components of 32 features: linear in time, flat in memory."""
    why = "time and memory over the number of samples"
    return _race(f"growth-{n_samples}", n_samples, 32, 16, "auto", why)
