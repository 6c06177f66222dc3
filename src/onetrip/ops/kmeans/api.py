"""`onetrip.kmeans`: contract, checks, dispatch."""

import math
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, complaint
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.reference import kmeans_reference
from onetrip.ops.kmeans.solve import problem_of, resolve, room_for, solve

Impl = Literal["auto", "reference", "torch", "triton", "gluon"]
Metric = Literal["euclidean", "cosine"]
Precision = Literal["certified", "fast"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def kmeans(
    x: Tensor,
    centers: Tensor,
    *,
    max_iter: int = 300,
    tol: float = 1e-4,
    sample_weight: Tensor | None = None,
    metric: Metric = "euclidean",
    precision: Precision = "certified",
    group: dist.ProcessGroup | None = None,
    impl: Impl = "auto",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Lloyd's k-means from a given start, never holding the [N, K] distances.

    Repeats these lines, in which the first stores N x K numbers::

        labels = torch.cdist(x, centers).argmin(1)
        centers = torch.stack([x[labels == k].mean(0) for k in range(K)])

    Scores stay on chip, block by block. What is stored is a few numbers a row: its label, its
    norm, two bounds.

    Parameters
    ----------
    x : Tensor [N, D] or [B, N, D], float32 | float16 | bfloat16 | float64
        Samples, any strides; with a leading axis, B problems one after the other.
    centers : Tensor [K, D] or [B, K, D], same dtype and device as `x`, or float32 with halves
        The start.
    max_iter : int, default 300
        0 labels the samples and computes their inertia.
    tol : float, default 1e-4
        Stop when the squared movement of all centres is at most `tol` times the mean variance of
        the features, as scikit-learn does. Labels that stay the same stop in any case.
    sample_weight : Tensor [N] or [B, N], float32 | float64, optional
        Non-negative weights.
    metric : {"euclidean", "cosine"}, default "euclidean"
        "cosine" takes rows and centres to unit length (spherical k-means); its inertia is the
        weighted sum of ``1 - cosine``. A row of zeros stays where it is.
    precision : {"certified", "fast"}, default "certified"
        "certified" evaluates rows anew whose two best scores are closer than the bound of their
        rounding errors: every label is that of exact arithmetic, ties go to the first centre.
        "fast" leaves them: near ties, and only there, a label may be the second best, and which
        of two equal centres wins is not said.
    group : torch.distributed.ProcessGroup, optional
        The samples are split over its processes: each passes its own and the same `centers`, and
        gets its own labels and the common centres, inertia and iterations, those of one process
        with all samples.
    impl : {"auto", "reference", "torch", "triton", "gluon"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    centers : Tensor [K, D] or [B, K, D], float32, float64 for float64 input
    values : dict of str to Tensor
        "labels" [N], int32, nearest of the returned centres; "inertia" [], float64, weighted sum
        of squared distances to them; "n_iter" [], int64. With a leading axis B where `x` has one.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        An argument that does not fit: which, what was expected, what came.
    UnsupportedError
        `impl` cannot run this problem here, or there are more clusters than samples and
        `max_iter` is not 0; the message says why.

    Notes
    -----
    Not differentiable. Two runs are bit-equal, whatever the number of threads or processes: sums
    are exact (`exact_sums.py`). An empty cluster takes the row that is farthest from its centre,
    as in scikit-learn. Error budget: `spec.py`. Cost: `cost.py`.

    References
    ----------
    Lloyd (1982); scikit-learn's KMeans; Hamerly (2010) for rows that are left out.

    Examples
    --------
    >>> import onetrip, torch
    >>> x = torch.tensor([[0.0], [1.0], [9.0], [11.0]])
    >>> centers, values = onetrip.kmeans(x, x[:2])
    >>> centers.tolist(), values["labels"].tolist(), values["inertia"].item()
    ([[0.5], [10.0]], [0, 0, 1, 1], 2.5)
    """
    _check_options(max_iter, tol, metric, precision)
    _check_tensors(x, centers, sample_weight)
    options = {
        "max_iter": max_iter,
        "tol": tol,
        "sample_weight": sample_weight,
        "metric": metric,
        "precision": precision,
    }
    if recording.active():
        recording.note("kmeans", {"x": x, "centers": centers}, options)
    if x.dim() == 3:
        weights = [None] * x.shape[0] if sample_weight is None else sample_weight.unbind()
        solved = [
            kmeans(one, start, **{**options, "sample_weight": weight}, group=group, impl=impl)
            for one, start, weight in zip(x.unbind(), centers.unbind(), weights, strict=True)
        ]
        names = ("labels", "inertia", "n_iter")
        values = {name: torch.stack([each[1][name] for each in solved]) for name in names}
        return torch.stack([each[0] for each in solved]), values
    whole = max_iter if group is None else 0  # of several processes, one may hold few samples
    chosen, config = resolve(impl, problem_of(x, centers.shape[0], {"max_iter": whole}))
    if chosen == "reference":
        if group is not None:
            expected = "None for the reference, which knows one process"
            raise ArgumentError(complaint("group", expected=expected, got="a group"))
        return kmeans_reference(x, centers, **options)
    room = room_for(chosen, config, x, centers.shape[0])
    points = prepare(x.detach(), sample_weight, metric, group, *((room.fill,) if room else ()))
    solution = solve(
        points,
        centers.detach(),
        max_iter=max_iter,
        tol=tol,
        metric=metric,
        precision=precision,
        impl=chosen,
        config=config,
        room=room,
    )
    return solution.centers, {
        "labels": solution.labels,
        "inertia": solution.inertia,
        # Filled there: a copy of it would stop the device.
        "n_iter": torch.full((), solution.n_iter, device=x.device),
    }


def _check_options(max_iter: int, tol: float, metric: str, precision: str) -> None:
    if not isinstance(max_iter, int) or max_iter < 0:
        raise ArgumentError(complaint("max_iter", expected="an integer >= 0", got=repr(max_iter)))
    if not tol >= 0.0 or math.isinf(tol):
        raise ArgumentError(complaint("tol", expected="a finite float >= 0", got=repr(tol)))
    if metric not in ("euclidean", "cosine"):
        expected = '"euclidean" or "cosine"'
        raise ArgumentError(complaint("metric", expected=expected, got=repr(metric)))
    if precision not in ("certified", "fast"):
        expected = '"certified" or "fast"'
        raise ArgumentError(complaint("precision", expected=expected, got=repr(precision)))


def _check_tensors(x: Tensor, centers: Tensor, sample_weight: Tensor | None) -> None:
    for name, given in (("x", x), ("centers", centers), ("sample_weight", sample_weight)):
        if not isinstance(given, Tensor) and not (given is None and name == "sample_weight"):
            way_out = f"Make a tensor of it: torch.from_numpy({name})."
            raise DtypeError(complaint(name, expected="a tensor", got=type(given), way_out=way_out))
    if x.dim() not in (2, 3) or 0 in x.shape:
        expected = "samples [N, D] or [B, N, D], none of them empty"
        raise ShapeError(complaint("x", expected=expected, got=list(x.shape)))
    if x.dtype not in _DTYPES:
        expected = "float32, float16, bfloat16 or float64"
        raise DtypeError(complaint("x", expected=expected, got=x.dtype, way_out="Cast it."))
    leading = x.shape[:-2]
    fits = centers.dim() == x.dim() and centers.shape[:-2] == leading
    if not fits or centers.shape[-1] != x.shape[-1] or centers.shape[-2] == 0:
        expected = f"of shape {[*leading, 'K', x.shape[-1]]} with K >= 1"
        raise ShapeError(complaint("centers", expected=expected, got=list(centers.shape)))
    if centers.dtype != x.dtype and not (x.itemsize < 4 and centers.dtype == torch.float32):
        expected = f"of the dtype of `x`, {x.dtype}"
        raise DtypeError(complaint("centers", expected=expected, got=centers.dtype))
    if sample_weight is None:
        return
    if sample_weight.shape != x.shape[:-1]:
        expected = f"of shape {list(x.shape[:-1])}"
        got = list(sample_weight.shape)
        raise ShapeError(complaint("sample_weight", expected=expected, got=got))
    if sample_weight.dtype not in (torch.float32, torch.float64):
        expected = "float32 or float64"
        raise DtypeError(complaint("sample_weight", expected=expected, got=sample_weight.dtype))
    if not bool((sample_weight >= 0).all()):
        expected = "non-negative"
        raise ArgumentError(complaint("sample_weight", expected=expected, got="negative or NaN"))
