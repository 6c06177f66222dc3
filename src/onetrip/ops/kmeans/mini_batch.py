"""One step of mini-batch k-means: label a batch, and move each centre by its share of the batch.

Sculley, Web-scale k-means clustering, WWW 2010: a centre is the mean of all samples that it was
ever given, so a batch moves it by its weight over the weight so far.
"""

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.batches import Batch, DeviceBatch, Step
from onetrip.ops.kmeans.labels import labels_of
from onetrip.ops.kmeans.lloyd import ClusterSums
from onetrip.ops.kmeans.points import Placed, Points
from onetrip.ops.kmeans.solve import solve
from onetrip.ops.kmeans.workers import ALONE, Workers, rows_workers, slices

if TYPE_CHECKING:
    from onetrip.ops.kmeans.device_mini_batch import DeviceSteps, Labelled

# Elements of a batch that are one thread's work, 1 MiB of float32; the same pieces whatever the
# number of threads, as the sums of pieces are rounded.
_PIECE = 1 << 18
# Rows a cluster, so that the sums of a piece are a small part of its work.
_ROWS_PER_CLUSTER = 4
# Up to here a product with a row of marks a cluster adds rows faster than adding one by one.
_FEW_CLUSTERS = 16
# Products for which NumPy's BLAS asks no other thread: 256 x 64 x 10 take 8 µs, torch's take 20.
_FEW_PRODUCTS = 1 << 18
# A divisor for what is zero.
_LEAST_WEIGHT = float(np.finfo(np.float64).tiny)


class _Share(NamedTuple):
    """What a piece adds to sums [K, D], weights [K] and inertia, in float64."""

    sums: np.ndarray
    weight: np.ndarray
    inertia: float


def mini_batch_step(
    batch: Placed | Batch | DeviceBatch,
    centers: Tensor,
    counts: Tensor,
    precision: str,
    workers: Workers = ALONE,
    *,
    measured: bool = True,
) -> Step:
    """Move `centers` [K, D], of weights `counts` [K], by one batch; `measured`: tell its inertia.

    A batch of `Points` is labelled by any implementation and adds exactly; the others take few
    calls, on a CPU, where `workers` share a large one.
    """
    if isinstance(batch, DeviceBatch):
        return device_steps(centers, counts, batch.size).step(batch, None, centers, counts)
    if isinstance(batch, Points):
        return _by_points(batch, centers, counts, precision)
    return _by_pieces(batch, centers, counts, precision, workers, measured)


def is_shared(size: int, centers: Tensor) -> bool:
    """Whether threads share a batch of so many rows on a CPU.

    >>> is_shared(4096, torch.zeros(256, 128)), is_shared(256, torch.zeros(10, 64))
    (True, False)
    """
    return _pieces(size, centers) > 1


def _pieces(size: int, centers: Tensor) -> int:
    """Of one size, so that threads end together."""
    clusters, features = centers.shape
    return math.ceil(size / max(_PIECE // features, _ROWS_PER_CLUSTER * clusters))


def device_steps(centers: Tensor, counts: Tensor, most: int) -> "DeviceSteps":
    """Steps by each a `DeviceBatch` of at most `most` rows, one launched ahead."""
    from onetrip.ops.kmeans.device_mini_batch import DeviceSteps

    return DeviceSteps(centers, counts, most)


def label_on_device(x: Tensor, weight: Tensor | None, centers: Tensor) -> "Labelled":
    """Nearest of `centers` [K, D] of contiguous samples [N, D] on a device, in one launch."""
    from onetrip.ops.kmeans.device_mini_batch import label_on_device

    return label_on_device(x, weight, centers)


def _by_points(points: Points, centers: Tensor, counts: Tensor, precision: str) -> Step:
    found = solve(points, centers, max_iter=0, tol=0.0, precision=precision)
    sums = ClusterSums(points, centers.shape[0])
    rows = torch.arange(found.labels.shape[0], device=centers.device)
    none = torch.full_like(found.labels, -1)
    with rows_workers(points.x) as workers:
        sums.move(rows, none, found.labels, workers)
    terms, weight = sums.over_processes()
    wide, after = centers.double(), counts + weight
    # The mean of all that a centre was given; one that was given nothing yet stays.
    left = torch.addcmul(points.joined(terms), weight[:, None], wide, value=-1.0)
    moved = torch.addcdiv(wide, left, after.clamp(min=_LEAST_WEIGHT)[:, None])
    return Step(moved.to(centers.dtype), after, float(found.inertia))


def _by_pieces(
    batch: Placed | Batch,
    centers: Tensor,
    counts: Tensor,
    precision: str,
    workers: Workers,
    measured: bool,
) -> Step:
    pieces = _pieces(batch.size, centers)

    def add(part: slice) -> _Share:
        piece = batch if isinstance(batch, Placed) and pieces == 1 else batch.rows(part)
        return _add(piece, centers, precision, measured)

    first, *others = workers.map(add, slices(slice(0, batch.size), math.ceil(batch.size / pieces)))
    left, weight, inertia = first
    for share in others:
        left += share.sums
        weight += share.weight
        inertia += share.inertia
    wide, after = centers.numpy().astype(np.float64), counts.numpy() + weight
    left -= weight[:, None] * wide
    left /= np.maximum(after, _LEAST_WEIGHT)[:, None]
    wide += left
    moved = torch.from_numpy(wide.astype(centers.numpy().dtype))
    least, largest = float(after.min()), float(after.max())
    return Step(moved, torch.from_numpy(after), inertia, least, largest)


def _add(piece: Placed, centers: Tensor, precision: str, measured: bool) -> _Share:
    """What a piece of a batch adds to its nearest centres."""
    clusters, x = centers.shape[0], piece.x.numpy()
    weight = None if piece.weight is None else piece.weight.numpy()
    before = centers if centers.dtype == piece.x.dtype else centers.to(piece.x.dtype)
    labels = labels_of(piece, before, precision)
    inertia = _inertia(x, before.numpy().take(labels, 0), weight) if measured else 0.0
    by_cluster = np.bincount(labels, weight, clusters)
    rows = x.astype(np.float64)
    if weight is not None:
        rows *= weight[:, None]
    return _Share(_sums(rows, labels, clusters), by_cluster.astype(np.float64), inertia)


def _inertia(x: np.ndarray, own: np.ndarray, weight: np.ndarray | None) -> float:
    """Weighted sum of squared distances of rows [N, D] to their `own` centres, which it uses up."""
    own -= x
    distance = np.einsum("nd,nd->n", own, own)
    return float(distance.sum(dtype=np.float64) if weight is None else distance @ weight)


_eye = functools.lru_cache(maxsize=_FEW_CLUSTERS)(np.eye)


def _sums(rows: np.ndarray, labels: np.ndarray, clusters: int) -> np.ndarray:
    """Sums [K, D] of float64 `rows` [N, D] by label."""
    if clusters <= _FEW_CLUSTERS:
        marks = _eye(clusters).take(labels, 0)  # [N, K]
        if marks.size * rows.shape[1] <= _FEW_PRODUCTS:
            return marks.T.dot(rows)
        return torch.mm(torch.from_numpy(marks).T, torch.from_numpy(rows)).numpy()
    sums = torch.zeros(clusters, rows.shape[1], dtype=torch.float64)
    # By int64: by int32 torch takes three times as long.
    return sums.index_add_(
        0, torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(rows)
    ).numpy()
