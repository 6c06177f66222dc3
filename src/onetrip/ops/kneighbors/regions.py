"""Queries that lie close together, each group with the part of the corpus in its reach.

Rounded rows tell no neighbours apart where these lie close together and far from the common offset:
tight clusters, far from each other. There an offset of their own helps, and little of the corpus
is near enough to be searched.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

# Groups at most, and queries that they are looked for among.
_GROUPS, _SAMPLED = 64, 4096
# A group is so much smaller than all of the queries.
_APART = 8.0
# Numbers of a block of rows whose distances are computed together: 128 MiB.
_ELEMENTS = 1 << 25


def regions(x: Tensor, y: Tensor, k: int) -> list[tuple[Tensor, Tensor]]:
    """Rows of x [Q, D] and rows of y [N, D], rising, that hold the `k` nearest of each of them.

    No group at all where queries do not lie in groups, or their parts of the corpus are most of it.

    >>> x = torch.tensor([[0.0], [1.0], [1000.0], [1001.0]])
    >>> [(rows.tolist(), near.tolist()) for rows, near in regions(x, x, 1)]
    [([0, 1], [0, 1]), ([2, 3], [2, 3])]
    """
    pivots = _pivots(x[:: -(-x.shape[0] // _SAMPLED)].float())
    if pivots is None:
        return []
    label = torch.cat([torch.cdist(part, pivots).argmin(1) for part in _blocks(x)])
    found = []
    for number in range(pivots.shape[0]):
        rows = (label == number).nonzero().flatten()
        if rows.numel():
            found.append((rows, _within_reach(x[rows], y, k)))
    pairs = sum(rows.numel() * near.numel() for rows, near in found)
    return found if 2 * pairs <= x.shape[0] * y.shape[0] else []


def _pivots(sample: Tensor) -> Tensor | None:
    """Queries that all others are close to, each the farthest from those before; None if many."""
    near = torch.linalg.vector_norm(sample - sample[0], dim=1)
    chosen, farthest = [near.new_zeros((), dtype=torch.int64)], [near.amax()]
    for _ in range(_GROUPS - 1):
        chosen.append(near.argmax())
        near = torch.minimum(near, torch.linalg.vector_norm(sample - sample[chosen[-1]], dim=1))
        farthest.append(near.amax())
    radii = torch.stack(farthest).tolist()
    for count, radius in enumerate(radii, start=1):
        # What float32 cannot hold is apart from nothing.
        if radius * _APART < radii[0] < math.inf:
            return sample[torch.stack(chosen[:count])]
    return None


def _within_reach(x: Tensor, y: Tensor, k: int) -> Tensor:
    """Rows of y that may be among the k nearest of any row of x.

    Of a ball around all of x, with the k nearest rows of its centre: nothing farther from the
    centre than these and twice the radius is as near to a row of x as these are.
    """
    centre = x.float().mean(0)
    radius = _distances(x, centre).amax()
    distance = _distances(y, centre)
    kth = distance.kthvalue(k).values
    # Each distance is off by so much at most.
    off = (x.shape[1] + 16) * 2.0**-24
    # Written so that a NaN passes.
    return (~(distance > (2.0 * radius + kth) * (1.0 + 4.0 * off))).nonzero().flatten()


def _distances(x: Tensor, centre: Tensor) -> Tensor:
    return torch.cat([torch.linalg.vector_norm(part - centre, dim=1) for part in _blocks(x)])


def _blocks(x: Tensor) -> Iterator[Tensor]:
    """Rows in float32, a block at a time."""
    for part in x.split(max(1, _ELEMENTS // max(x.shape[1], _GROUPS))):
        yield part.float()
