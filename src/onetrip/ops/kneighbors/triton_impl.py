"""Neighbours by Triton kernels: minima of scores, limits, candidates, exact order.

Queries that have more candidates than there is room for are searched again: groups that lie far
apart each about their own centre; the others by differences in float32, whose errors are relative
to the distance itself; what even these leave, by plain torch.
"""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors import torch_impl
from onetrip.ops.kneighbors.device_call import Call, make_call
from onetrip.ops.kneighbors.device_differences import search_differences
from onetrip.ops.kneighbors.device_products import search_products
from onetrip.ops.kneighbors.plan import FEW_QUERIES
from onetrip.ops.kneighbors.regions import regions
from onetrip.ops.kneighbors.torch_impl import Found

# Fewer queries are searched by differences before groups are found.
_MANY_LEFT = 256
_TORCH_TILE = {"rows": 512, "columns": 2048, "group": 16}


@torch.no_grad()
def search(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str,
    *,
    exclude_self: bool = False,
    certified: bool = True,
    config: Config,
) -> Found:
    """Find the `k` nearest rows of `y` [N, D] for every row of `x` [Q, D]; as `torch_impl`'s."""
    asked = {"exclude_self": exclude_self, "certified": certified, "config": config}
    call = make_call(x, y, k, metric, **asked)
    with torch.cuda.device_of(x):
        few = call.is_euclidean and x.shape[0] <= FEW_QUERIES
        if few:
            search_differences(call)
        else:
            search_products(call)
        # The only time that the host waits.
        reevaluated, left = call.totals.tolist()
        if left and call.is_euclidean and not few:
            _search_regions(call)
            _search_differences(call)
            left = int(call.left.sum())
        if left:
            _search_in_torch(call, call.left.nonzero().flatten())
    return Found(call.values, call.indices, reevaluated if certified else 0)


def _search_regions(call: Call) -> None:
    """Queries in groups far apart, whose distances are small beside those of the groups."""
    rows = call.left.nonzero().flatten()
    if rows.numel() < _MANY_LEFT:
        return
    # The query itself may be one of its neighbours here.
    k = call.k + call.exclude_self
    for members, near in regions(call.x[rows], call.y, k):
        asked = {"exclude_self": False, "certified": call.certified, "config": call.config}
        again = make_call(call.x[rows[members]], call.y[near], k, call.metric, **asked)
        search_products(again)
        settled = (again.left == 0).nonzero().flatten()
        answers = again.values[settled], near[again.indices[settled]]
        _write(call, rows[members[settled]], *answers)


def _search_differences(call: Call) -> None:
    rows = call.left.nonzero().flatten()
    if not rows.numel():
        return
    asked = {"exclude_self": call.exclude_self, "certified": call.certified, "config": call.config}
    again = make_call(call.x[rows], call.y, call.k, call.metric, **asked, numbers=rows)
    search_differences(again)
    call.values[rows], call.indices[rows] = again.values, again.indices
    call.left[rows] = again.left


def _search_in_torch(call: Call, rows: Tensor) -> None:
    """Queries with many equals, or whose numbers float32 cannot hold."""
    wanted = call.k + call.exclude_self
    found = torch_impl.search(call.x[rows], call.y, wanted, call.metric, config=_TORCH_TILE)
    _write(call, rows, found.values, found.indices)


def _write(call: Call, rows: Tensor, values: Tensor, indices: Tensor) -> None:
    """Answers of queries, with one neighbour too many where the query itself is none.

    It is one of its neighbours then, and dropped. Where equals crowded it out, the last one is.
    """
    others = torch.ones_like(indices, dtype=torch.bool)
    if call.exclude_self:
        others = indices != rows[:, None]
        others[:, -1] &= ~others.all(1)
    call.values[rows] = values[others].view(-1, call.k)
    call.indices[rows] = indices[others].view(-1, call.k)
    call.left[rows] = 0
