"""Neighbours by Triton kernels: minima of scores, limits, candidates, exact order.

Queries that have more candidates than there is room for are searched again, by differences in
float32, whose errors are relative to the distance itself; what even these leave, by plain torch.
"""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors import torch_impl
from onetrip.ops.kneighbors.device_call import Call, make_call
from onetrip.ops.kneighbors.device_differences import search_differences
from onetrip.ops.kneighbors.device_products import search_products
from onetrip.ops.kneighbors.plan import FEW_QUERIES
from onetrip.ops.kneighbors.torch_impl import Found

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
            rows = call.left.nonzero().flatten()
            again = make_call(x[rows], y, k, metric, **asked, numbers=rows)
            search_differences(again)
            call.values[rows], call.indices[rows] = again.values, again.indices
            call.left[rows] = again.left
            left = again.totals.tolist()[1]
        if left:
            _search_in_torch(call, call.left.nonzero().flatten())
    return Found(call.values, call.indices, reevaluated if certified else 0)


def _search_in_torch(call: Call, rows: Tensor) -> None:
    """Queries with many equals, or whose numbers float32 cannot hold."""
    k = call.k
    # The query itself is one of its neighbours here, and then dropped. Where equals crowded it
    # out, the last one is too many.
    wanted = k + call.exclude_self
    found = torch_impl.search(call.x[rows], call.y, wanted, call.metric, config=_TORCH_TILE)
    others = torch.ones_like(found.indices, dtype=torch.bool)
    if call.exclude_self:
        others = found.indices != rows[:, None]
        others[:, -1] &= ~others.all(1)
    call.values[rows] = found.values[others].view(-1, k)
    call.indices[rows] = found.indices[others].view(-1, k)
