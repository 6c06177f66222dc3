"""Data on which HDBSCAN is compared with both libraries, and how it is asked there."""

from typing import Any

import numpy as np
from sklearn import datasets as their_datasets
from sklearn.preprocessing import StandardScaler

# Without types: what comes back depends on arguments.
datasets: Any = their_datasets

MIN_CLUSTER_SIZE = 10
# As scikit-learn counts; the hdbscan library does not count the sample itself.
MIN_SAMPLES = 6


def samples() -> dict[str, np.ndarray]:
    """Name -> float64 samples."""
    generator = np.random.default_rng(0)
    blobs = datasets.make_blobs
    return {
        "moons": datasets.make_moons(400, noise=0.07, random_state=0)[0],
        "digits": datasets.load_digits().data[:500],
        "wine": StandardScaler().fit_transform(datasets.load_wine().data),
        "uniform": generator.random((400, 2)),
        "one-gaussian": generator.standard_normal((400, 2)),
        "mixed-densities": blobs(
            400, 2, centers=5, cluster_std=[0.3, 0.6, 1.0, 1.5, 2.5], random_state=1
        )[0],
        "duplicates": np.round(generator.standard_normal((300, 2)), 1),
        "blobs-16": blobs(400, 16, centers=6, cluster_std=3.0, random_state=0)[0],
    }


def options(X: np.ndarray) -> dict[str, dict]:
    """Name -> parameters, some of them in the units of the data."""
    epsilon = float(0.1 * X.std(0).mean() * np.sqrt(X.shape[1]))
    return {
        "eom": {},
        "leaf": {"cluster_selection_method": "leaf"},
        "epsilon": {"cluster_selection_epsilon": epsilon},
        "leaf-epsilon": {
            "cluster_selection_method": "leaf",
            "cluster_selection_epsilon": epsilon,
        },
        "single": {"allow_single_cluster": True},
        "single-epsilon": {"allow_single_cluster": True, "cluster_selection_epsilon": epsilon},
        "max-size": {"max_cluster_size": 120},
        "alpha": {"alpha": 1.3},
    }
