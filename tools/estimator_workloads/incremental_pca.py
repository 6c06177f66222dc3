"""Races of IncrementalPCA: components of batches, and the samples' coordinates along them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.pca import _digits, _falling
from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "truncated_svd"
ESTIMATOR = "IncrementalPCA"


def _solve(data: Data, *, library: str, components: int, batch: int) -> Any:
    if library == OURS:
        from onetrip.decomposition import IncrementalPCA
    else:
        from sklearn.decomposition import IncrementalPCA
    model = IncrementalPCA(components, batch_size=batch)
    coordinates = model.fit_transform(data["X"])
    return model.singular_values_, model.components_, coordinates[:100]


def _check(data: Data, answers: Mapping[str, Any]) -> None:
    """The same values and the same directions as scikit-learn's, which fix signs alike."""
    if "sklearn" not in answers:
        return
    (values, components, _), (expected, directions, _) = answers[OURS], answers["sklearn"]
    np.testing.assert_allclose(values, expected, rtol=1e-3)
    alike = np.abs((components * directions).sum(1))
    if alike[: len(alike) // 2].min() < 0.99:
        raise AssertionError(f"directions are off: cosines {alike}")


def _race(name: str, samples: int, features: int, components: int, batch: int, why: str) -> Race:
    return Race(
        name=name,
        axes={
            "n_samples": samples,
            "n_features": features,
            "n_components": components,
            "batch_size": batch,
        },
        why=why,
        make=_digits if name == "increments-digits" else partial(_falling, samples, features),
        contenders={
            library: partial(_solve, library=library, components=components, batch=batch)
            for library in (OURS, "sklearn")
        },
        check=_check,
        dtype="float64" if name == "increments-digits" else "float32",
    )


RACES = (
    _race("increments-digits", 17_970, 64, 16, 320, "real data: small batches, calls count"),
    _race("increments-tall", 100_000, 64, 16, 2_000, "many batches of few features"),
    _race("increments-wide", 4_000, 1_000, 20, 400, "batches shorter than wide"),
    _race("increments-long", 20_000, 256, 32, 5_000, "few long batches"),
    _race("increments-many", 10_000, 200, 100, 1_000, "many components are kept"),
)


def growth(n_samples: int) -> Race:
    """Sixteen components of 32 features, by batches of 1000."""
    why = "time and memory over the number of samples"
    return _race(f"growth-{n_samples}", n_samples, 32, 16, 1_000, why)
