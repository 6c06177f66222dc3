"""The start of k-means: what `init` asks for, drawn as scikit-learn draws it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from torch import Tensor

from onetrip.core.errors import ShapeError, complaint
from onetrip.estimators.arrays import Given, as_tensor
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.seeding import kmeans_plus_plus


def is_array(init: Any) -> bool:
    """Whether `init` holds the centres themselves."""
    return not isinstance(init, str) and not callable(init)


def start_centers(
    init: Any, clusters: int, points: Points, given: Given, random: np.random.RandomState | None
) -> Tensor:
    """Centres [K, D] to start from, in the dtype of the made-ready samples.

    Parameters
    ----------
    init : "k-means++", "random", a function or the centres
        A function is called as in scikit-learn, ``init(X, n_clusters, random_state=…)``.
    clusters : int
    points : the samples to draw from
    given : the same samples, in the kind in which they came
    random : whose draws are those of scikit-learn, in its order; centres need none
    """
    if is_array(init):
        return fixed_centers(init, clusters, points.x)
    if random is None:
        raise AssertionError("only centres themselves are drawn from nothing")
    if callable(init):
        return fixed_centers(
            init(given.answer(points.x), clusters, random_state=random), clusters, points.x
        )
    if init == "random":
        rows = points.x.shape[0]
        chosen = random.choice(rows, size=clusters, replace=False, p=_chances(points))
        return points.x[torch.from_numpy(np.asarray(chosen)).to(points.x.device)]
    return points.x[plus_plus_rows(clusters, points, random)]


def plus_plus_rows(
    clusters: int, points: Points, random: np.random.RandomState, trials: int | None = None
) -> Tensor:
    """Rows [K], int64, that greedy k-means++ draws, of some `trials` at each step."""
    return kmeans_plus_plus(points, clusters, _first(points, random), _draws(random), trials)


def _first(points: Points, random: np.random.RandomState) -> int:
    """The row that `random.choice` draws by weight, without a table of chances on the host."""
    rows, drawn = points.x.shape[0], random.random_sample()
    if points.weight is None:
        return min(int(drawn * rows), rows - 1)
    reached = points.weight.cumsum(0)
    return min(int(torch.searchsorted(reached, drawn * reached[-1], right=True)), rows - 1)


def fixed_centers(init: Any, clusters: int, like: Tensor) -> Tensor:
    """Centres that were passed or that a function returned, checked.

    `like` are some of the samples [R, D], as they are made ready: where, and float32 or float64.
    """
    dtype: Any = np.float64 if like.dtype == torch.float64 else np.float32
    if isinstance(init, Tensor):
        centers = init.detach().to(like, copy=True)
    elif isinstance(init, np.ndarray) and init.dtype == dtype and _is_finite_table(init):
        # What a general check would find, at a tenth of its time.
        centers = torch.from_numpy(init.copy(order="C")).to(like.device)
    else:
        centers = as_tensor(check_array(init, dtype=dtype, order="C", copy=True)).to(like.device)
    expected = (clusters, like.shape[1])
    if tuple(centers.shape) != expected:
        raise ShapeError(
            complaint(
                "init",
                expected=f"centers of shape (n_clusters, n_features), {expected}",
                got=f"an array of shape {tuple(centers.shape)}: the shape of the initial centers "
                "does not match the number of clusters or the number of features of the data",
            )
        )
    return centers


def _is_finite_table(init: np.ndarray) -> bool:
    return init.ndim == 2 and 0 not in init.shape and bool(np.isfinite(init).all())


def _chances(points: Points) -> np.ndarray:
    """Of each row [N]; equal ones too, so that a weight of two is drawn as a row is twice."""
    weight = points.weights(torch.arange(points.x.shape[0], device=points.x.device))
    values = weight.cpu().numpy()
    return values / values.sum()


def _draws(random: np.random.RandomState) -> Callable[[int], Tensor]:
    return lambda count: torch.from_numpy(random.uniform(size=count))
