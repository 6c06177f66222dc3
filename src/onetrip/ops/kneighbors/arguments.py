"""Checks of what kneighbors is given."""

from typing import Any

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, complaint
from onetrip.ops.kneighbors.metric import METRICS

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
PRECISIONS = ("certified", "fast")


def check_options(n_neighbors: object, metric: object, precision: object) -> None:
    """Refuse values that no problem allows."""
    if isinstance(n_neighbors, bool) or not isinstance(n_neighbors, int) or n_neighbors < 1:
        raise ArgumentError(complaint("n_neighbors", expected="an integer >= 1", got=n_neighbors))
    for name, value, allowed in (
        ("metric", metric, METRICS),
        ("precision", precision, PRECISIONS),
    ):
        if value not in allowed:
            expected = f"one of {list(allowed)}"
            raise ArgumentError(complaint(name, expected=expected, got=repr(value)))


def check_matrix(name: str, x: Any, like: Tensor | None = None) -> None:
    """Refuse what is no matrix of a known dtype, or does not go with `like`."""
    if not isinstance(x, Tensor):
        way_out = "Make a tensor of it: torch.from_numpy(x)."
        raise DtypeError(complaint(name, expected="a tensor", got=type(x), way_out=way_out))
    letter = "Q" if name == "queries" else "N"
    if x.dim() != 2:
        raise ShapeError(complaint(name, expected=f"a matrix [{letter}, D]", got=list(x.shape)))
    if x.dtype not in DTYPES:
        expected = "float32, float64, float16 or bfloat16"
        raise DtypeError(complaint(name, expected=expected, got=x.dtype, way_out="Cast it."))
    if like is None:
        return
    if x.dtype != like.dtype:
        expected = f"{like.dtype}, as `queries` are"
        raise DtypeError(complaint(name, expected=expected, got=x.dtype, way_out="Cast one."))
    if x.shape[1] != like.shape[1]:
        expected = f"of {like.shape[1]} features, as `queries` are"
        raise ShapeError(complaint(name, expected=expected, got=list(x.shape)))
