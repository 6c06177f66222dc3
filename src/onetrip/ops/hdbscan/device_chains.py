"""The merges of `chains.py` on a device, where a launch takes longer than what it does."""

from itertools import pairwise
from typing import Any

import torch
import triton
from torch import Tensor

from onetrip.ops.hdbscan import kernel_chains as chains
from onetrip.ops.hdbscan import kernel_places as places
from onetrip.ops.hdbscan.kernel_chains import BLOCK, highest_of

# Passes between two questions to the device whether one vertex is left; one more changes nothing.
_PASSES = 3
_BLOCK: dict[str, Any] = {"BLOCK": BLOCK}


class DeviceChains:
    """The merges of N points, as `Chains` holds them; `left`, `right`, `above` are the same.

    Parameters
    ----------
    source, target : Tensor [E], int64, ends of the edges of a tree, in order; E > 0.
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        E, device = source.shape[0], source.device
        N = E + 1
        chain, merging = _contracted(source, target)
        chain, self._edge = chain.sort(stable=True)
        passes = merging.shape[0] // N
        bounds = N * torch.arange(1, passes + 1, device=device, dtype=chain.dtype)
        begin_of, end_of = torch.empty(2, merging.shape[0], dtype=torch.int64, device=device)
        self._begin, self._end, self._place = torch.empty(3, E, dtype=torch.int64, device=device)
        self._under = torch.zeros(E, dtype=torch.int64, device=device)
        self.above = torch.empty(2 * N - 1, dtype=torch.int64, device=device)
        self.left, self.right = children = torch.full((2, E), -1, device=device)
        grid = (triton.cdiv(N, BLOCK),)
        with torch.cuda.device_of(source):
            chains._hdbscan_hang_kernel[grid](
                chain, self._edge, merging, begin_of, end_of, self.above, children, self._place,
                E, **_BLOCK,
            )  # fmt: skip
            chains._hdbscan_along_kernel[grid](
                chain, self._edge, begin_of, end_of, self._place, self.above, self._begin,
                self._end, self._under, children, E, **_BLOCK,
            )  # fmt: skip
        self._bounds = torch.searchsorted(chain, bounds).tolist()

    def sizes(self) -> Tensor:
        """Points [E] under the node that every edge makes."""
        E = self._edge.shape[0]
        under, size = self._under.clone(), torch.empty_like(self._under)
        with torch.cuda.device_of(size):
            for low, high in self._passes():
                along = under[low:high].cumsum(0)
                places._hdbscan_grow_kernel[(triton.cdiv(high - low, BLOCK),)](
                    self._edge, self._begin, self._end, self._place, self.above, along, under,
                    size, low, high, E, **_BLOCK,
                )  # fmt: skip
        return size

    def places(self) -> Tensor:
        """Place of every point [N] where what holds a source stands before what holds its target.

        >>> DeviceChains(torch.tensor([2, 2]), torch.tensor([0, 1])).places().tolist()
        [1, 2, 0]
        """
        E, size = self._edge.shape[0], self.sizes()
        pushed, start = torch.empty_like(size), torch.empty_like(size)
        found = size.new_empty(E + 1)
        grid = (triton.cdiv(E + 1, BLOCK),)
        with torch.cuda.device_of(size):
            places._hdbscan_pushed_kernel[grid](self._edge, self.left, size, pushed, E, **_BLOCK)
            along = pushed.cumsum(0)
            for low, high in reversed(self._passes()):
                places._hdbscan_start_kernel[(triton.cdiv(high - low, BLOCK),)](
                    self._edge, self._end, along, start, self.above, self.left, size, low, high,
                    E, **_BLOCK,
                )  # fmt: skip
            places._hdbscan_place_kernel[grid](
                start, self.above, self.left, size, found, E, **_BLOCK
            )
        return found

    def climb(self, point: Tensor, limit: Tensor) -> Tensor:
        """Highest node above each point [P] that edges before `limit` [P] make; the point if none.

        >>> chains = DeviceChains(torch.tensor([0, 1]), torch.tensor([1, 2]))
        >>> chains.climb(torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2])).tolist()
        [0, 3, 4]
        """
        count, found = point.shape[0], torch.empty_like(point)
        with torch.cuda.device_of(point):
            places._hdbscan_climb_kernel[(triton.cdiv(count, BLOCK),)](
                point, limit, self._edge, self._end, self._place, self.above, found, count,
                self._edge.shape[0], **_BLOCK,
            )  # fmt: skip
        return found

    def _passes(self) -> list[tuple[int, int]]:
        """Runs of places, a pass each; those that only made sure of the end are empty."""
        return [(low, high) for low, high in pairwise(self._bounds) if low < high]


def _contracted(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Chain of every edge [E], passes times N plus a vertex, and what merges its end, of all."""
    E, device = source.shape[0], source.device
    N = E + 1
    small = torch.int32
    vertex = torch.arange(N, dtype=small, device=device)
    parent, first = vertex.clone(), torch.empty_like(vertex)
    # Each pass halves the vertices at least.
    most = N.bit_length() + _PASSES
    wide = small if most * N < torch.iinfo(small).max else torch.int64
    chain = torch.full((E,), -1, dtype=wide, device=device)
    gone = torch.zeros(most, dtype=small, device=device)
    merging: list[Tensor] = []
    grid = (triton.cdiv(N, BLOCK),)
    with torch.cuda.device_of(source):
        # The last pass is one that finds a single vertex.
        while not merging or int(gone[: len(merging) - 1].sum()) < E:
            for _ in range(_PASSES):
                number = len(merging)
                merging.append(torch.empty_like(vertex))
                first.fill_(E)
                chains._hdbscan_first_kernel[grid](source, target, vertex, first, E, **_BLOCK)
                chains._hdbscan_contract_kernel[grid](
                    source, target, vertex, first, chain, parent, merging[-1], gone[number:],
                    number * N, E, **_BLOCK,
                )  # fmt: skip
                vertex = highest_of(parent)
    return chain, torch.cat(merging)
