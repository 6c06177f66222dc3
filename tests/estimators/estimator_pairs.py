"""Every estimator beside scikit-learn's of its name, as tests of all of them need it."""

from typing import Any

import numpy as np
import sklearn.cluster
import sklearn.decomposition
import sklearn.manifold
import sklearn.naive_bayes
import sklearn.neighbors

import onetrip.cluster
import onetrip.decomposition
import onetrip.manifold
import onetrip.naive_bayes
import onetrip.neighbors

# Parameters that make a fit of forty samples quick and the same every time.
_OPTIONS: dict[str, dict[str, Any]] = {
    "KMeans": {"n_clusters": 3, "n_init": 2, "random_state": 0},
    "MiniBatchKMeans": {"n_clusters": 3, "n_init": 2, "random_state": 0},
    "TruncatedSVD": {"random_state": 0},
    "TSNE": {"max_iter": 250, "perplexity": 5.0},
}
_MODULES = ("cluster", "decomposition", "manifold", "naive_bayes", "neighbors")

# Name -> (ours, scikit-learn's).
PAIRS: dict[str, tuple[Any, Any]] = {
    name: (getattr(getattr(onetrip, module), name), getattr(getattr(sklearn, module), name))
    for module in _MODULES
    for name in getattr(onetrip, module).__all__
    if name[0].isupper()  # kmeans_plusplus is a function
}
NAMES = sorted(PAIRS)


def make(name: str, **options: Any) -> Any:
    """Our estimator of this name, for few samples."""
    return PAIRS[name][0](**{**_OPTIONS.get(name, {}), **options})


def samples(rows: int = 40, features: int = 5) -> np.ndarray:
    """Whole numbers that no dtype rounds, in three groups."""
    drawn = np.random.default_rng(0).poisson(3, (rows, features))
    return drawn + 12.0 * (np.arange(rows) % 3)[:, None]


def targets(rows: int = 40) -> np.ndarray:
    """The group of each of `samples`."""
    return np.arange(rows) % 3


def answers(model: Any, X: Any) -> dict[str, Any]:
    """What a fitted model says of X, by the name of the method or attribute."""
    found = {
        name: getattr(model, name) for name in ("labels_", "embedding_") if hasattr(model, name)
    }
    for name in ("predict", "transform", "predict_proba"):
        if hasattr(model, name):
            found[name] = getattr(model, name)(X)
    if hasattr(model, "kneighbors"):
        found["distances"], found["indices"] = model.kneighbors(X)
    return found
