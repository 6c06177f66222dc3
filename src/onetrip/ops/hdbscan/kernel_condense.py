"""Triton kernels of hdbscan: rows of the condensed tree from merges that lie on a device.

`condense.py` says what is computed. A node starts a cluster where its sibling is as large as one
too. From every other node the way leads up to the next that starts one, and from small nodes to the
next that is large; both are followed by all programs at once, which shorten each other's ways.
"""

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch

_BLOCK = 256
# The way to a node that no program has looked at is long: not for more than a few hops at first.
_HOPS = (64, 2**31 - 1)
# Clusters whose rows are copied with those of the points; where there are more, once more.
_CLUSTERS = 4096


@triton.jit(do_not_specialize=["E", "least"])
def _hdbscan_starts_kernel(
    left_ptr, right_ptr, size_ptr, above_ptr, head_ptr, holder_ptr, starts_ptr, E, least,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Which nodes start a cluster, and the next node on the way up of all others."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < E
    node = offs + E + 1
    left = tl.load(left_ptr + offs, mask=mask, other=0).to(tl.int32)
    right = tl.load(right_ptr + offs, mask=mask, other=0).to(tl.int32)
    large_left = tl.load(size_ptr + left - E - 1, mask=mask & (left > E), other=1) >= least
    large_right = tl.load(size_ptr + right - E - 1, mask=mask & (right > E), other=1) >= least
    both = large_left & large_right
    tl.store(above_ptr + left, node, mask=mask)
    tl.store(above_ptr + right, node, mask=mask)
    tl.store(head_ptr + left, tl.where(both, left, node), mask=mask)
    tl.store(head_ptr + right, tl.where(both, right, node), mask=mask)
    tl.store(holder_ptr + left, tl.where(large_left, left, node), mask=mask)
    tl.store(holder_ptr + right, tl.where(large_right, right, node), mask=mask)
    tl.store(starts_ptr + left, both.to(tl.int32), mask=mask)
    tl.store(starts_ptr + right, both.to(tl.int32), mask=mask)
    # Nothing is above the root, which starts a cluster and is large whatever its size.
    root = offs == E - 1
    tl.store(head_ptr + node, node, mask=root)
    tl.store(holder_ptr + node, node, mask=root)
    tl.store(starts_ptr + node, 1, mask=root)


@triton.jit
def _go_up(way_ptr, node, mask, hops):
    """Shorten ways; what is read while others shorten theirs is higher in any case."""
    above = tl.load(way_ptr + node, mask=mask, other=0, cache_modifier=".cg")
    moving = 1
    while (moving > 0) & (hops > 0):
        higher = tl.load(way_ptr + above, mask=mask, other=0, cache_modifier=".cg")
        moving = tl.sum((mask & (higher != above)).to(tl.int32), axis=0)
        above = higher
        tl.store(way_ptr + node, above, mask=mask)
        hops -= 1


@triton.jit(do_not_specialize=["nodes", "hops"])
def _hdbscan_up_kernel(head_ptr, holder_ptr, nodes, hops, BLOCK: tl.constexpr):
    # What is above has the larger number: it is looked at first.
    offs = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK + tl.arange(0, BLOCK)
    _go_up(head_ptr, offs, offs < nodes, hops)
    _go_up(holder_ptr, offs, offs < nodes, hops)


@triton.jit(do_not_specialize=["E", "room"])
def _hdbscan_rows_kernel(
    distance_ptr,
    size_ptr,
    above_ptr,
    head_ptr,
    holder_ptr,
    starts_ptr,
    started_ptr,
    density_ptr,
    row_ptr,
    E,
    room,
    BLOCK: tl.constexpr,
):
    """A row for every point and every cluster: densities, then parents and, of clusters, sizes.

    Clusters are numbered from the root downwards; `started` [2N - 1] counts them upwards.
    """
    node = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    N = E + 1
    point = node < N
    clusters = tl.load(started_ptr + 2 * E)
    born = (node < 2 * E) & (tl.load(starts_ptr + node, mask=node < 2 * E, other=0) > 0)
    # What leaves: a point its holder, a cluster what is above it.
    place = tl.where(
        point, node, N + clusters - tl.load(started_ptr + node, mask=born, other=0) - 1
    )
    above = tl.load(above_ptr + node, mask=born, other=0)
    leaves = tl.load(holder_ptr + node, mask=point, other=0)
    leaves = tl.where(point, leaves, above)
    mask = (point | born) & (place < room)
    head = tl.load(head_ptr + leaves, mask=mask, other=0)
    parent = N + clusters - tl.load(started_ptr + head, mask=mask, other=0)
    distance = tl.load(distance_ptr + leaves - N, mask=mask, other=1.0)
    tl.store(density_ptr + place, 1.0 / distance, mask=mask)
    tl.store(row_ptr + place, parent, mask=mask)
    size = tl.load(size_ptr + node - N, mask=mask & born, other=1)
    tl.store(row_ptr + room + place, size.to(tl.int32), mask=mask)
    tl.store(row_ptr + 2 * room + 0 * node, clusters + 0 * node, mask=node == 0)


def condensed_rows(
    left: Tensor, right: Tensor, distance: Tensor, size: Tensor, min_cluster_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parents, densities and sizes of the rows of the condensed tree, on the host.

    Parameters
    ----------
    left, right, size : Tensor [E], int64; distance : Tensor [E], float64
        Merges, as `linkage.Linkage` holds them.
    """
    E, device = left.shape[0], left.device
    N, nodes = E + 1, 2 * E + 1
    above, head, holder, starts = torch.empty(4, nodes, dtype=torch.int32, device=device)
    with torch.cuda.device_of(left):
        launch(
            _hdbscan_starts_kernel, (blocks(E, _BLOCK),), left, right, size, above, head,
            holder, starts, E, min_cluster_size, BLOCK=_BLOCK,
        )  # fmt: skip
        grid = (blocks(nodes, _BLOCK),)
        for hops in _HOPS:
            launch(_hdbscan_up_kernel, grid, head, holder, nodes, hops, BLOCK=_BLOCK)
        started = starts.cumsum(0, dtype=torch.int32)
        room = N + min(N, _CLUSTERS)
        while True:
            # In one buffer, which is copied at once.
            buffer = torch.empty(4 * room + 1, dtype=torch.int32, device=device)
            density = buffer[: 2 * room].view(torch.float64)
            launch(
                _hdbscan_rows_kernel, grid, distance, size, above, head, holder, starts, started,
                density, buffer[2 * room :], E, room, BLOCK=_BLOCK,
            )  # fmt: skip
            found = buffer.cpu().numpy()
            rows = N + int(found[-1]) - 1
            if rows <= room:
                break
            room = rows
    parent, size_of = found[2 * room : -1].reshape(2, room)[:, :rows].astype(np.int64)
    return parent, found[: 2 * room].view(np.float64)[:rows], size_of


def _case(kernel: Any) -> CompileCase:
    wide = ("left_ptr", "right_ptr", "size_ptr")
    types = dict.fromkeys((n for n in kernel.arg_names if n.endswith("_ptr")), "*i32")
    types |= {name: "*i64" for name in types if name in wide}
    types |= {name: "*fp64" for name in types if name in ("distance_ptr", "density_ptr")}
    counts = ("E", "least", "nodes", "hops", "room")
    types |= {name: "i32" for name in kernel.arg_names if name in counts}
    name = kernel.__name__.removeprefix("_hdbscan_").removesuffix("_kernel")
    return CompileCase(name, kernel, types, {"BLOCK": _BLOCK})


COMPILE_CASES = (
    _case(_hdbscan_starts_kernel),
    _case(_hdbscan_up_kernel),
    _case(_hdbscan_rows_kernel),
)
