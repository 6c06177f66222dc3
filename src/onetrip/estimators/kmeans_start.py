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
    rows = points.x.shape[0]
    # Equal chances too, so that a weight of two and a row that stands there twice draw alike.
    chances = _chances(points.weights(torch.arange(rows, device=points.x.device)))
    if init == "random":
        chosen = random.choice(rows, size=clusters, replace=False, p=chances)
        return points.x[torch.from_numpy(np.asarray(chosen)).to(points.x.device)]
    first = int(random.choice(rows, p=chances))
    return points.x[kmeans_plus_plus(points, clusters, first, _draws(random))]


def fixed_centers(init: Any, clusters: int, like: Tensor) -> Tensor:
    """Centres that were passed or that a function returned, checked.

    `like` are some of the samples [R, D], as they are made ready: where, and float32 or float64.
    """
    dtype: Any = np.float64 if like.dtype == torch.float64 else np.float32
    if isinstance(init, Tensor):
        centers = init.detach().to(like)
    elif isinstance(init, np.ndarray) and init.dtype == dtype and _is_finite_table(init):
        # What a general check would find, at a tenth of its time.
        centers = torch.from_numpy(init.copy(order="C")).to(like.device)
    else:
        centers = as_tensor(check_array(init, dtype=dtype, order="C")).to(like.device)
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
    return centers.clone()


def _is_finite_table(init: np.ndarray) -> bool:
    return init.ndim == 2 and 0 not in init.shape and bool(np.isfinite(init).all())


def _chances(weight: Tensor) -> np.ndarray:
    values = weight.cpu().numpy()
    return values / values.sum()


def _draws(random: np.random.RandomState) -> Callable[[int], Tensor]:
    return lambda count: torch.from_numpy(random.uniform(size=count))
