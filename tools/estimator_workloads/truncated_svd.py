"""Races of TruncatedSVD: components, and the samples' coordinates along them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from estimator_workloads.protocol import OURS, Data, Race

OPERATOR = "truncated_svd"
ESTIMATOR = "TruncatedSVD"


def _falling(n_samples: int, n_features: int) -> Data:
    generator = np.random.default_rng(0)
    rank = min(n_samples, n_features)
    spread = 1.0 / np.sqrt(1.0 + np.arange(rank, dtype=np.float32))
    mix = generator.standard_normal((rank, n_features), dtype=np.float32) / np.float32(rank) ** 0.5
    draw = generator.standard_normal((n_samples, rank), dtype=np.float32)
    return {"X": (draw * spread) @ mix}


def _terms(n_samples: int, n_features: int) -> Data:
    """Counts of terms, few of them in a document, frequent ones in many."""
    from scipy import sparse

    generator = np.random.default_rng(0)
    per_row = 60
    columns = (n_features * generator.random(n_samples * per_row) ** 3).astype(np.int32)
    rows = np.repeat(np.arange(n_samples, dtype=np.int32), per_row)
    counts = np.ones(len(rows), dtype=np.float64)
    return {"X": sparse.csr_matrix((counts, (rows, columns)), shape=(n_samples, n_features))}


def _solve(data: Data, *, library: str, options: Mapping[str, Any]) -> Any:
    if library == "onetrip":
        from onetrip.decomposition import TruncatedSVD
    else:
        from sklearn.decomposition import TruncatedSVD
    model = TruncatedSVD(**options, random_state=0)
    coordinates = model.fit_transform(data["X"])
    return model.singular_values_, model.components_, coordinates[:100]


def _check(data: Data, answers: Mapping[str, Any]) -> None:
    """The components catch at least the share of X that scikit-learn's catch, less 0.1 %."""
    if "sklearn" not in answers:
        return
    X = data["X"]
    ours, theirs = (
        float(np.sum(np.asarray(X @ found[1].T, dtype=np.float64) ** 2))
        for found in (answers[OURS], answers["sklearn"])
    )
    if ours < 0.999 * theirs:
        raise AssertionError(f"the components catch {ours:g}, those of scikit-learn {theirs:g}")
    values, components, _ = answers[OURS]
    np.testing.assert_allclose(components @ components.T, np.eye(len(values)), atol=1e-4)


def _race(
    name: str, samples: int, features: int, components: int, algorithm: str, why: str
) -> Race:
    options = {"n_components": components, "algorithm": algorithm}
    return Race(
        name=name,
        axes={"n_samples": samples, "n_features": features, "n_components": components},
        why=why,
        make=partial(_terms if name.startswith("terms") else _falling, samples, features),
        contenders={
            library: partial(_solve, library=library, options=options)
            for library in ("onetrip", "sklearn")
        },
        check=_check,
        dtype="float64" if name.startswith("terms") else "float32",
    )


RACES = (
    _race(
        "tall", 200_000, 128, 16, "randomized", "many samples: bandwidth of the power iterations"
    ),
    _race("square", 3_000, 3_000, 20, "randomized", "two long sides"),
    _race("wide", 2_000, 10_000, 20, "randomized", "fewer samples than features"),
    _race("exact", 3_000, 800, 20, "arpack", "exact values: Gram matrix against ARPACK"),
    _race("terms", 20_000, 5_000, 50, "randomized", "sparse counts: latent semantic analysis"),
    _race("terms-exact", 20_000, 2_000, 50, "arpack", "sparse counts, exact values"),
)


def growth(n_samples: int) -> Race:
    """Sixteen components of 32 features: linear in time, flat in memory."""
    why = "time and memory over the number of samples"
    return _race(f"growth-{n_samples}", n_samples, 32, 16, "randomized", why)
