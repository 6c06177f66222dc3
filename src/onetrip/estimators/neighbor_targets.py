"""What neighbours say together: weights by distance, and targets in the kind that they came in."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length
from torch import Tensor

from onetrip.core.errors import ArgumentError, ShapeError, complaint
from onetrip.estimators.arrays import Given


def weights_of(distances: Tensor, weights: Any, given: Given) -> Tensor | None:
    """Weights [Q, k] in float64, or None where all weigh the same.

    A neighbour at distance 0 takes all the weight, shared with others there.
    """
    if weights in (None, "uniform"):
        return None
    if weights == "distance":
        inverse = 1.0 / distances
        infinite = torch.isinf(inverse)
        return torch.where(infinite.any(1, keepdim=True), infinite.double(), inverse)
    made = weights(given.answer(distances))
    return torch.as_tensor(made, dtype=torch.float64, device=distances.device)


def as_array(values: Any) -> Any:
    """A tensor as NumPy's array, whatever NumPy knows of it; all else as it is."""
    if not isinstance(values, Tensor):
        return values
    kept = values.detach().cpu()
    return (kept.float() if kept.dtype == torch.bfloat16 else kept).numpy()


def take_targets(estimator: BaseEstimator, y: Any, n_samples: int, *, numeric: bool) -> Any:
    """`y` checked, of shape (n_samples,) or (n_samples, n_outputs): an array, or a tensor."""
    name = type(estimator).__name__
    if y is None:
        raise ArgumentError(
            f"This {name} estimator requires y to be passed, but the target y is None."
        )
    if isinstance(y, Tensor):
        if y.dim() not in (1, 2) or y.shape[0] != n_samples:
            expected = f"of shape ({n_samples},) or ({n_samples}, n_outputs)"
            raise ShapeError(complaint("y", expected=expected, got=list(y.shape)))
        if y.is_floating_point() and not bool(torch.isfinite(y).all()):
            raise ArgumentError(complaint("y", expected="finite", got="NaN or infinity"))
        return y.detach()
    dtype: Any = "numeric" if numeric else None
    y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    check_consistent_length(np.empty((n_samples, 0)), y)
    return y
