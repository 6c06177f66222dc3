"""What neighbours say together: weights by distance, and targets in the kind that they came in."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length
from torch import Tensor
from torch.nn.functional import embedding_bag

from onetrip.core.errors import ArgumentError, ShapeError, complaint
from onetrip.estimators.arrays import Given

# What `check_array` leaves as it is.
_NUMBERS = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.int32))


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


def weighted_means(targets: Tensor, indices: Tensor, weights: Tensor | None) -> Tensor:
    """Means [Q] or [Q, outputs] of the targets of neighbours [Q, k], which are never laid out.

    >>> weighted_means(torch.tensor([2.0, 4.0, 9.0]), torch.tensor([[0, 1], [2, 2]]), None)
    tensor([3., 9.])
    """
    if weights is None:
        weights = torch.ones(indices.shape, dtype=targets.dtype, device=targets.device)
        total: Any = indices.shape[1]
    else:
        total = weights.sum(1, keepdim=True)
    columns = targets if targets.dim() == 2 else targets[:, None]
    sums = embedding_bag(indices, columns, mode="sum", per_sample_weights=weights)
    return sums.div_(total).view(-1, *targets.shape[1:])


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
    if _is_plain(y, n_samples):
        return y
    dtype: Any = "numeric" if numeric else None
    y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    check_consistent_length(np.empty((n_samples, 0)), y)
    return y


def _is_plain(y: Any, n_samples: int) -> bool:
    """Whether `check_array` would hand back `y` as it is, which it takes 150 µs to find out."""
    if type(y) is not np.ndarray or y.dtype not in _NUMBERS or y.ndim not in (1, 2):
        return False
    if y.shape[0] != n_samples or y.size == 0:
        return False
    return y.dtype.kind != "f" or bool(np.isfinite(y).all())
