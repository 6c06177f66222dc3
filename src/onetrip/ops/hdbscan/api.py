"""`onetrip.hdbscan`: contract, checks, dispatch."""

import math
from numbers import Integral, Real
from typing import Literal

import torch
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import (
    ArgumentError,
    DtypeError,
    ShapeError,
    UnsupportedError,
    complaint,
)
from onetrip.core.selection import Config, resolve
from onetrip.ops.hdbscan import select
from onetrip.ops.hdbscan.edges import Spanning
from onetrip.ops.hdbscan.reference import hdbscan_reference
from onetrip.tile.problem import problem_on

Impl = Literal["auto", "reference", "torch", "triton"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def hdbscan(
    x: Tensor,
    *,
    min_samples: int,
    alpha: float = 1.0,
    metric: Literal["euclidean"] = "euclidean",
    precision: Literal["certified", "fast"] = "certified",
    impl: Impl = "auto",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Exact minimum spanning tree of mutual reachability, the tree that HDBSCAN clusters by.

    Replaces these lines, in which every step stores N x N numbers::

        distance = torch.cdist(x, x)
        core = distance.kthvalue(min_samples, dim=1).values
        reach = torch.maximum(distance / alpha, torch.maximum(core[:, None], core[None, :]))
        tree = scipy.sparse.csgraph.minimum_spanning_tree(reach)

    Distances are recomputed tile by tile. What is stored is a list of the nearest neighbours of
    every point, O(N · min_samples), and a tree of boxes that rules out most pairs.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float16 | bfloat16 | float64
        Points, finite. Any strides.
    min_samples : int
        The core distance of a point is the distance of its `min_samples`-th nearest, itself
        counted; of the farthest where there are fewer points.
    alpha : float, default 1.0
        Distances, not core distances, are divided by it.
    metric : {"euclidean"}, default "euclidean"
    precision : {"certified", "fast"}, default "certified"
        "certified": products of many features in float32 have a bound of their error, and what it
        leaves open is evaluated in float64. "fast" takes the products as they are: neighbours,
        core distances and edges may be others where distances differ by less than their rounding.
        With few features there are no products, and both are the same.
    impl : {"auto", "reference", "torch", "triton"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    weight : Tensor [N - 1], float32; float64 where `x` is
        Mutual reachability of every edge, ascending.
    ends : dict of str to Tensor
        "source" and "target" [N - 1], int64: the points of every edge, the smaller number first;
        "core_distance" [N], dtype of `weight`.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        An argument that does not fit: which, what was expected, what came.
    UnsupportedError
        `metric` is another one; `impl` cannot run this problem here.

    Notes
    -----
    Not differentiable. Deterministic: edges are ordered by weight, then by the smaller, then by
    the larger number of their points, so the tree is unique. "torch" decides in float64, "triton"
    in float32 (float64 where `x` is), in sums of squared differences.

    References
    ----------
    Campello, Moulavi, Sander, 2013. sklearn.cluster.HDBSCAN.

    Examples
    --------
    >>> import onetrip, torch
    >>> x = torch.tensor([[0.0], [1.0], [3.0], [10.0]])
    >>> weight, ends = onetrip.hdbscan(x, min_samples=2)
    >>> weight, ends["source"], ends["target"]
    (tensor([1., 2., 7.]), tensor([0, 1, 2]), tensor([1, 2, 3]))
    """
    chosen, config = _checked(x, min_samples, alpha, metric, precision, impl)
    if chosen == "reference":
        return hdbscan_reference(x.detach(), min_samples=int(min_samples), alpha=float(alpha))
    tree = _run(chosen, config, x, min_samples, alpha, precision)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    edges = tree.edges
    core = tree.core.sqrt().to(dtype)
    ends = {"source": edges.row, "target": edges.column, "core_distance": core}
    return edges.weight.sqrt().to(dtype), ends


def spanning(x: Tensor, *, min_samples: int, alpha: float, precision: str) -> Spanning:
    """As `hdbscan`, in the precision of its decisions and with what else an estimator needs."""
    chosen, config = _checked(x, min_samples, alpha, "euclidean", precision, "auto")
    return _run(chosen, config, x, min_samples, alpha, precision)


def _checked(
    x: Tensor, min_samples: int, alpha: float, metric: str, precision: str, impl: str
) -> tuple[str, Config]:
    """What runs, and its configuration, or an error that says which argument does not fit."""
    if x.dim() != 2:
        raise ShapeError(complaint("x", expected="a matrix [N, D]", got=list(x.shape)))
    if x.dtype not in _DTYPES:
        expected = "float32, float16, bfloat16 or float64"
        raise DtypeError(complaint("x", expected=expected, got=x.dtype, way_out="Cast it."))
    if not isinstance(min_samples, Integral) or min_samples < 1:
        expected = "an integer of at least 1"
        raise ArgumentError(complaint("min_samples", expected=expected, got=repr(min_samples)))
    if not isinstance(alpha, Real) or not 0 < alpha < math.inf:
        raise ArgumentError(complaint("alpha", expected="a positive number", got=repr(alpha)))
    if metric != "euclidean":
        way_out = "For cosine, scale every row to length 1 first."
        raise UnsupportedError(
            complaint("metric", expected='"euclidean"', got=repr(metric), way_out=way_out)
        )
    if precision not in ("certified", "fast"):
        expected = '"certified" or "fast"'
        raise ArgumentError(complaint("precision", expected=expected, got=repr(precision)))
    options = {"min_samples": int(min_samples), "alpha": float(alpha), "precision": precision}
    if recording.active():
        recording.note("hdbscan", {"x": x}, options)
    if x.shape[0] == 0:
        raise ShapeError(complaint("x", expected="at least one point", got=list(x.shape)))
    problem = problem_on(x.device, {"N": x.shape[0], "D": x.shape[1]}, x.dtype, options)
    return resolve(select.OPERATOR, select, impl, problem)


def _run(
    chosen: str, config: Config, x: Tensor, min_samples: int, alpha: float, precision: str
) -> Spanning:
    if chosen == "triton":
        from onetrip.ops.hdbscan.triton_impl import spanning_tree
    else:
        from onetrip.ops.hdbscan.torch_impl import spanning_tree
    certified = precision == "certified"
    return spanning_tree(x.detach(), int(min_samples), float(alpha), config, certified=certified)
