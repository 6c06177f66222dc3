"""Lloyd's iterations: assign, move the sums of the rows that changed, relocate, average, stop.

The sums of a cluster are kept from one iteration to the next: a row that changes its label is
taken from one sum and added to another. They are exact (`exact_sums.py`), so they never drift.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.exact_sums import exact_total, reduced
from onetrip.ops.kmeans.movement import Movement
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.relocate import relocate_empty
from onetrip.ops.kmeans.workers import Workers, pass_rows, slices

# Terms of changed rows that are worth a thread of their own: two tenths of a millisecond; and rows
# for each cluster, so that sums of a thread's own are a small part of its work.
_TERMS_PER_THREAD = 1 << 17
_ROWS_PER_CLUSTER = 4
# Up to here a product with a row of signs a cluster is faster than a scattered sum: measured on
# two cores, 8 against 64 ns a row at 8 clusters of 16 features, 32 against 78 at 64 features.
_FEW_CLUSTERS = 16
# Terms that one pass over changed rows holds in float64: 1 MiB stays in a core's cache, 128 MiB
# fill a device.
_TERMS = {"cpu": 1 << 17, "cuda": 1 << 24}


class Assigner(Protocol):
    """What an implementation provides: the labels, and how they change."""

    labels: Tensor
    looks: int
    anew: int
    is_bounded: bool

    def assign(
        self, centers: Tensor, movement: Movement, workers: Workers
    ) -> tuple[Tensor, Tensor]:
        """Label all rows; the rows that changed and their labels until now."""
        ...

    def finish(self, centers: Tensor, movement: Movement, workers: Workers) -> None:
        """Label all rows for the last time."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """Centres and what belongs to them.

    Attributes
    ----------
    centers : Tensor [K, D]
    labels : Tensor [N], int32, nearest of `centers`
    inertia : Tensor [], float64, weighted sum of squared distances to the own centre
    n_iter : int
    reevaluated_share : float, share of the rows looked at whose certificate failed
    """

    centers: Tensor
    labels: Tensor
    inertia: Tensor
    n_iter: int
    reevaluated_share: float


class ClusterSums:
    """Weighted sum and weight of each cluster, kept while rows change their labels."""

    def __init__(self, points: Points, clusters: int) -> None:
        self.points = points
        device = points.x.device
        width = points.x.shape[1] * len(points.magics)
        self._terms = torch.zeros(clusters, width, dtype=torch.float64, device=device)
        self._weight = torch.zeros(clusters, dtype=torch.float64, device=device)
        self._signs = None
        if clusters <= _FEW_CLUSTERS:
            # Zeros for the label -1, then a row a cluster.
            eye = torch.eye(clusters, dtype=torch.float64, device=device)
            self._signs = torch.cat((torch.zeros_like(eye[:1]), eye))

    def move(self, rows: Tensor, before: Tensor, after: Tensor, workers: Workers) -> None:
        """Take rows [M] from the clusters `before` (-1 is none) and add them to those `after`."""
        clusters, width = self._terms.shape
        least = max(_TERMS_PER_THREAD // width, _ROWS_PER_CLUSTER * clusters)
        pieces = min(workers.threads, rows.shape[0] // max(1, least))
        if pieces < 2:
            self._change((rows, before, after), self._terms, self._weight)
            return

        def change(share: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            sums = torch.zeros_like(self._terms), torch.zeros_like(self._weight)
            self._change(share, *sums)
            return sums

        shares = [tensor.tensor_split(pieces) for tensor in (rows, before, after)]
        for terms, weight in workers.map(change, list(zip(*shares, strict=True))):
            self._terms += terms
            self._weight += weight

    def over_processes(self) -> tuple[Tensor, Tensor]:
        """Sums [K, D · grids] and weights [K], copies that may be changed."""
        group = self.points.group
        terms = reduced(self._terms, dist.ReduceOp.SUM, group)
        return terms.clone(), reduced(self._weight, dist.ReduceOp.SUM, group).clone()

    def _change(self, share: tuple[Tensor, Tensor, Tensor], terms: Tensor, weight: Tensor) -> None:
        """Add the rows, labels until now and labels of a `share` to `terms` and `weight`."""
        step = max(256, _TERMS[terms.device.type] // terms.shape[1])
        for part in slices(slice(0, share[0].shape[0]), step):
            rows, old, new = (tensor[part] for tensor in share)
            row_terms, row_weight = self.points.terms(rows), self.points.weights(rows)
            if self._signs is not None:
                sign = self._signs.index_select(0, new + 1)
                sign -= self._signs.index_select(0, old + 1)
                terms.addmm_(sign.T, row_terms)
                weight.addmv_(sign.T, row_weight)
                continue
            # By int64: by int32 torch adds 10,000 rows of 32 in 684 µs, not in 214.
            new, old = new.long(), old.long()
            terms.index_add_(0, new, row_terms)
            weight.index_add_(0, new, row_weight)
            had = (old >= 0).nonzero().squeeze(1)
            if had.numel():
                terms.index_add_(0, old[had], row_terms[had].neg_())
                weight.index_add_(0, old[had], row_weight[had].neg_())


def lloyd(
    points: Points,
    centers: Tensor,
    assigner: Assigner,
    workers: Workers,
    *,
    max_iter: int,
    tol: float,
    spherical: bool,
) -> Solution:
    """Iterate from `centers` [K, D] until the labels stay, the centres nearly do, or `max_iter`.

    `tol` is relative to the mean variance of the features, as in scikit-learn.
    """
    movement = Movement(centers.shape[0], centers.device, for_bounds=assigner.is_bounded)
    sums = ClusterSums(points, centers.shape[0])
    n_iter, settled = 0, False
    while n_iter < max_iter and not settled:
        rows, before = assigner.assign(centers, movement, workers)
        sums.move(rows, before, assigner.labels.index_select(0, rows), workers)
        settled = _over_processes(rows.shape[0], points) == 0
        n_iter += 1
        if settled:
            break
        after = averages(points, *sums.over_processes(), centers, assigner.labels, spherical)
        movement.step(centers, after)
        centers = after
        if movement.shift_square <= tol * points.variance:
            break
    if not settled:
        assigner.finish(centers, movement, workers)
    looks = max(1, assigner.looks)
    inertia = inertia_of(points, centers, assigner.labels, workers)
    return Solution(
        centers,
        assigner.labels,
        inertia * 0.5 if spherical else inertia,
        n_iter,
        assigner.anew / looks,
    )


def _over_processes(count: int, points: Points) -> int:
    """Sum of a `count` of each process."""
    if points.group is None:
        return count
    own = torch.tensor(count, device=points.x.device)
    return int(reduced(own, dist.ReduceOp.SUM, points.group))


def inertia_of(points: Points, centers: Tensor, labels: Tensor, workers: Workers) -> Tensor:
    """Weighted sum of squared distances to the own centre, in float64, exact for these terms."""
    per_row = torch.empty(labels.shape[0], dtype=torch.float64, device=centers.device)

    def measure(rows: slice) -> None:
        difference = centers.index_select(0, labels[rows]).sub_(points.x[rows])
        per_row[rows] = difference.square_().sum(1)

    def measure_on_host(rows: slice) -> None:
        """The same bits, in calls that take less time than the work."""
        difference = centers.numpy().take(labels.numpy()[rows], 0)
        difference -= points.x.numpy()[rows]
        difference *= difference
        per_row.numpy()[rows] = torch.from_numpy(difference).sum(1).numpy()

    each = measure_on_host if points.x.is_cpu else measure
    workers.map(each, slices(slice(0, labels.shape[0]), pass_rows(points.x)))
    if points.weight is not None:
        per_row *= points.weight
    return exact_total(per_row, points.group)


def averages(
    points: Points, terms: Tensor, weight: Tensor, centers: Tensor, labels: Tensor, spherical: bool
) -> Tensor:
    """New centres [K, D] from sums [K, D · grids] and weights [K], which are used up."""
    has_empty = float(weight.min()) == 0.0
    if has_empty:
        relocate_empty(points, centers, labels, terms, weight)
    mean = points.joined(terms) / weight[:, None]
    if has_empty:
        # A cluster that stays empty goes where the largest is, as in scikit-learn.
        mean = torch.where((weight > 0)[:, None], mean, mean[weight.argmax()])
    if spherical:
        mean = F.normalize(mean, dim=1)
    return mean.to(centers.dtype)
