"""Clusters that lost all their rows take over the rows that are farthest from their centres."""

import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.workers import pass_rows


def relocate_empty(
    points: Points, centers: Tensor, labels: Tensor, terms: Tensor, weight: Tensor
) -> None:
    """Move, in place, the farthest rows to the empty clusters; as scikit-learn does.

    The farthest row goes to the first empty cluster, the next to the second; rows equally far in
    their order. Nothing moves where every row lies on its centre.

    Parameters
    ----------
    centers : Tensor [K, D], to which the rows were assigned
    labels : Tensor [N], int32
    terms : Tensor [K, D · grids], float64, sums of the clusters over all processes, changed
    weight : Tensor [K], float64, weights of the clusters over all processes, changed
    """
    empty = (weight == 0).nonzero().squeeze(1)
    mine = _farthest(points, centers, labels, empty.numel())
    distance, label, row_weight, row_terms = _of_all_processes(mine, points.group)
    order = distance.argsort(descending=True, stable=True)[: empty.numel()]
    if not order.numel() or distance[order[0]] == 0:
        return
    for cluster, row in zip(empty.tolist(), order.tolist(), strict=False):
        donor = int(label[row])
        terms[donor] -= row_terms[row]
        terms[cluster] = row_terms[row]
        weight[cluster] = row_weight[row]
        weight[donor] -= row_weight[row]


def _farthest(points: Points, centers: Tensor, labels: Tensor, count: int) -> tuple[Tensor, ...]:
    step = pass_rows(points.x)
    distance = torch.cat(
        [
            (x - centers.index_select(0, label)).double().square_().sum(1)
            for x, label in zip(points.x.split(step), labels.split(step), strict=True)
        ]
    )
    rows = distance.argsort(descending=True, stable=True)[:count]
    return distance[rows], labels[rows], points.weights(rows), points.terms(rows)


def _of_all_processes(
    mine: tuple[Tensor, ...], group: dist.ProcessGroup | None
) -> tuple[Tensor, ...]:
    if group is None:
        return mine
    gathered: list = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, tuple(part.cpu() for part in mine), group=group)
    device = mine[0].device
    return tuple(torch.cat(parts).to(device) for parts in zip(*gathered, strict=True))
