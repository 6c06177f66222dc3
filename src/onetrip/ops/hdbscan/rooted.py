"""Turn the edges of a tree away from its first vertex, on any device, in O(log N) passes."""

import torch
from torch import Tensor


def rooted(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the edges [E] of a tree, E > 0, of each the one nearer to vertex 0 first.

    A tour along all edges, there and back, begins at vertex 0. An edge leads away from it where
    the tour takes it first; what is left of the tour at each step is found by doubling.

    >>> [ends.tolist() for ends in rooted(torch.tensor([2, 1]), torch.tensor([0, 2]))]
    [[0, 2], [2, 1]]
    """
    if source.is_cuda:
        from onetrip.ops.hdbscan.kernel_tour import turned_away

        return turned_away(source, target)
    E = source.shape[0]
    tail = torch.cat([source, target])  # of all edges forwards, then of all backwards
    by_tail = tail.argsort(stable=True)
    grouped = tail[by_tail]
    begin = torch.searchsorted(grouped, torch.arange(E + 1, device=tail.device))
    is_last = grouped != torch.cat([grouped[1:], grouped.new_full((1,), -1)])
    around = torch.empty_like(tail)
    around[by_tail] = torch.where(is_last, by_tail[begin[grouped]], by_tail.roll(-1))
    # After an edge comes the one that leaves its end next, beginning after the way back.
    following = around.roll(E)
    is_end = following == by_tail[0]
    here = torch.arange(2 * E, device=tail.device)
    # What is left above the 32 bits of what follows: one reading a step for both.
    tour = torch.where(is_end, here, following | (1 << 32))
    for _ in range((2 * E - 1).bit_length()):
        following = tour & 0xFFFFFFFF
        tour = tour - following + tour[following]
    left = tour >> 32
    away = left[:E] > left[E:]
    return torch.where(away, source, target), torch.where(away, target, source)
