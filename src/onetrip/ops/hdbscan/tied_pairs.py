"""Listed pairs of points that may take the place of an edge of the spanning tree."""

import torch
from torch import Tensor

from onetrip.ops.hdbscan.select import TIED_ROWS


def tied_pairs(
    place: Tensor, square: Tensor, core: Tensor, scale: float, chosen: Tensor
) -> tuple[Tensor, Tensor]:
    """Pairs of places [2, T] as heavy as two or more edges of the tree, and their weights [T].

    Parameters
    ----------
    place, square : Tensor [N, K]
        Near places of every place, itself among them or not; squared distances of these.
    core : Tensor [N], squared core distances.
    scale : squared distances are divided by it.
    chosen : Tensor [N - 1], squared weights of the tree's edges, ascending.
    """
    equal = chosen[1:] == chosen[:-1]
    begins = equal.clone()
    begins[1:] &= ~equal[:-1]
    several = chosen[1:][begins]
    if several.numel() == 0:
        return place.new_empty((2, 0), dtype=torch.int64), core[:0]
    pairs, weights = [], []
    for start in range(0, place.shape[0], TIED_ROWS):
        near = place[start : start + TIED_ROWS].long()
        itself = torch.arange(start, start + near.shape[0], device=near.device)[:, None]
        weight = torch.maximum(square[start : start + TIED_ROWS] / scale, core[near])
        weight = torch.maximum(weight, core[itself])
        at = torch.searchsorted(several, weight).clamp_max_(several.numel() - 1)
        row, column = ((several[at] == weight) & (near != itself)).nonzero(as_tuple=True)
        pairs.append(torch.stack([start + row, near[row, column]]))
        weights.append(weight[row, column])
    return torch.cat(pairs, 1), torch.cat(weights)
