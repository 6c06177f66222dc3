"""The merges of `chains.py` on a device, by a dozen launches and without a question to it."""

from typing import Any

import torch
from torch import Tensor

from onetrip.ops.hdbscan import kernel_chains as chains
from onetrip.ops.hdbscan import kernel_places as places
from onetrip.ops.hdbscan.kernel_chains import ALONE, ALONE_WARPS, BLOCK, LEVELS
from onetrip.tile.launches import blocks, launch

# The way to a point that no program has looked at is long: not for more than a few hops at first.
_HOPS = (64, torch.iinfo(torch.int32).max)
_BLOCK: dict[str, Any] = {"BLOCK": BLOCK}
_ALONE: dict[str, Any] = {"BLOCK": ALONE, "num_warps": ALONE_WARPS}


class DeviceChains:
    """The merges of N points, as `Chains` holds them; `left`, `right`, `above` are the same.

    Parameters
    ----------
    source, target : Tensor [E], int64, ends of the edges of a tree, in order; E > 0.
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        E, device = source.shape[0], source.device
        self._grid = (blocks(E + 1, BLOCK),)
        with torch.cuda.device_of(source):
            chain, merging, level = _contracted(source, target, self._grid)
            chain, self._edge = chain.sort(stable=True)
            # Where each level begins.
            self._level = torch.searchsorted(chain, level, out_int32=True)
            begin_of, end_of = torch.empty(2, 2 * E + 2, dtype=torch.int64, device=device)
            ends = torch.empty(3, E, dtype=torch.int64, device=device)
            self._begin, self._end, self._place = ends
            self._under = torch.zeros(E, dtype=torch.int64, device=device)
            self.above = torch.empty(2 * E + 1, dtype=torch.int64, device=device)
            self.left, self.right = children = torch.full((2, E), -1, device=device)
            launch(
                chains._hdbscan_hang_kernel, self._grid, chain, self._edge, merging, begin_of,
                end_of, self.above, children, self._place, E, **_BLOCK,
            )  # fmt: skip
            launch(
                chains._hdbscan_along_kernel, self._grid, chain, self._edge, begin_of, end_of,
                self._place, self.above, self._begin, self._end, self._under, children, E, **_BLOCK,
            )  # fmt: skip

    @property
    def ways(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `kernel_places.climb` goes along."""
        return self._edge, self._end, self._place, self.above

    def sizes(self) -> Tensor:
        """Points [E] under the node that every edge makes."""
        under, size = self._under.clone(), torch.empty_like(self._under)
        given = (
            self._level, self._edge, self._begin, self._end, self._place, self.above,
            under.cumsum(0), under, size, size.shape[0],
        )  # fmt: skip
        with torch.cuda.device_of(size):
            launch(places._hdbscan_grow_kernel, self._grid, *given, **_BLOCK)
            launch(places._hdbscan_grow_rest_kernel, (1,), *given, **_ALONE)
        return size

    def places(self) -> Tensor:
        """Place of every point [N] where what holds a source stands before what holds its target.

        >>> DeviceChains(torch.tensor([2, 2]), torch.tensor([0, 1])).places().tolist()
        [1, 2, 0]
        """
        E, size = self._edge.shape[0], self.sizes()
        pushed, start = torch.empty_like(size), torch.empty_like(size)
        found = size.new_empty(E + 1)
        with torch.cuda.device_of(size):
            launch(
                places._hdbscan_pushed_kernel, self._grid, self._edge, self.left, size, pushed, E,
                **_BLOCK,
            )  # fmt: skip
            given = (
                self._level, self._edge, self._end, pushed.cumsum(0), start,
                self.above, self.left, size, E,
            )  # fmt: skip
            launch(places._hdbscan_start_rest_kernel, (1,), *given, **_ALONE)
            launch(places._hdbscan_start_kernel, self._grid, *given, **_BLOCK)
            launch(
                places._hdbscan_place_kernel, self._grid, start, self.above, self.left, size, found,
                E, **_BLOCK,
            )  # fmt: skip
        return found


def _contracted(
    source: Tensor, target: Tensor, grid: tuple[Any, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Chain of every edge [E], what merges the end of each [2N], first chain of each level."""
    E, device = source.shape[0], source.device
    N, small = E + 1, torch.int32
    first = torch.full((2 * N,), E, dtype=small, device=device)
    # Of the last vertex, which nothing merges.
    merging = torch.full((2 * N,), 2 * E, dtype=small, device=device)
    parent, made, up = torch.empty(3, 2 * N, dtype=small, device=device)
    home, left, chain, *_ = lists = torch.empty(5, E, dtype=small, device=device)
    ends = lists[3:]
    count = torch.zeros(2, dtype=small, device=device)  # edges that are left, vertices
    level = torch.empty(LEVELS, dtype=small, device=device)
    launch(chains._hdbscan_first_kernel, grid, source, target, first, E, **_BLOCK)
    launch(
        chains._hdbscan_contract_kernel, grid, source, target, first, parent, merging, made, home,
        left, count, E, **_BLOCK,
    )  # fmt: skip
    for hops in _HOPS:
        launch(chains._hdbscan_lift_kernel, grid, parent, made, up, N, hops, **_BLOCK)
    launch(
        chains._hdbscan_rest_kernel, (1,), source, target, first, parent, merging, made, up, home,
        left, ends, count, level, E, LEVELS=LEVELS, **_ALONE,
    )  # fmt: skip
    launch(chains._hdbscan_chain_kernel, grid, home, up, first, chain, E, **_BLOCK)
    return chain, merging, level
