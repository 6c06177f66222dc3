"""onetrip: machine-learning operators that make one trip to memory, and the lab that proves them.

This table is the only place that maps a public name to a module. Importing onetrip imports
neither torch nor triton; a name is imported at its first use.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onetrip.bench.recording import record as record
    from onetrip.estimators.estimate import estimate as estimate
    from onetrip.estimators.pipeline_cost import estimate_pipeline as estimate_pipeline
    from onetrip.ops.hdbscan.api import hdbscan as hdbscan
    from onetrip.ops.kmeans.api import kmeans as kmeans
    from onetrip.ops.kneighbors.api import kneighbors as kneighbors
    from onetrip.ops.linear_cross_entropy.api import linear_cross_entropy as linear_cross_entropy
    from onetrip.ops.linear_cross_entropy.target_check import target_checks as target_checks
    from onetrip.ops.multinomial_nb.api import multinomial_nb as multinomial_nb
    from onetrip.ops.truncated_svd.api import truncated_svd as truncated_svd
    from onetrip.ops.tsne.api import tsne as tsne

__version__ = "0.1.0"

_PUBLIC = {
    "estimate": "onetrip.estimators.estimate",
    "estimate_pipeline": "onetrip.estimators.pipeline_cost",
    "hdbscan": "onetrip.ops.hdbscan.api",
    "kmeans": "onetrip.ops.kmeans.api",
    "kneighbors": "onetrip.ops.kneighbors.api",
    "linear_cross_entropy": "onetrip.ops.linear_cross_entropy.api",
    "multinomial_nb": "onetrip.ops.multinomial_nb.api",
    "record": "onetrip.bench.recording",
    "target_checks": "onetrip.ops.linear_cross_entropy.target_check",
    "truncated_svd": "onetrip.ops.truncated_svd.api",
    "tsne": "onetrip.ops.tsne.api",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> object:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'onetrip' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
