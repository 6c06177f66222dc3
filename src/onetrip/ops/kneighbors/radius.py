"""All corpus rows within a radius of each query, exact: the same tiles, another question."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors.metric import Metric, make_products
from onetrip.ops.kneighbors.plan import make_tiling, rows_of_a_worker
from onetrip.ops.kneighbors.torch_impl import Search
from onetrip.tile.side_by_side import run_side_by_side, worker_count


@dataclass(frozen=True, slots=True)
class Within:
    """Neighbours of query after query: `counts` [Q] of each, `indices` and exact `values` of all.

    Indices of one query ascend; values are as in `torch_impl.Found`.
    """

    counts: Tensor
    indices: Tensor
    values: Tensor


def search_within(
    x: Tensor, y: Tensor, radius: float, metric: str, *, exclude_self: bool = False, config: Config
) -> Within:
    """Find the rows of `y` [N, D] at a distance of at most `radius` from each row of `x` [Q, D].

    Memory grows with the number of neighbours that there are.
    """
    Q, N = x.shape[0], y.shape[0]
    tiling = make_tiling(Q, N, 1, config)
    call = Search(x, y, 0, 1, make_products(metric, x, y), exclude_self, True, 1, tiling)
    rows = rows_of_a_worker(Q, worker_count() if x.device.type == "cpu" else 1, tiling)
    parts = run_side_by_side(
        [
            partial(_within_rows, call, radius, begin, min(begin + rows, Q))
            for begin in range(0, Q, rows)
        ]
    )
    return Within(
        torch.cat([part.counts for part in parts]),
        torch.cat([part.indices for part in parts]),
        torch.cat([part.values for part in parts]),
    )


@torch.no_grad()
def _within_rows(call: Search, radius: float, begin: int, end: int) -> Within:
    x, metric = call.x[begin:end], call.metric
    prepared, x_norms = metric.prepare_queries(x)
    largest = radius * radius if metric.name == "euclidean" else radius
    found: list[tuple[Tensor, Tensor, Tensor]] = []

    def take(tile: Tensor, start: int, rows: slice) -> None:
        y = call.y[start : start + tile.shape[0]]
        limit = _limit(metric, largest, x_norms[rows], call.tiling.group, y)
        grouped = tile.view(-1, call.tiling.group, tile.shape[1])
        # Written so that a NaN passes.
        queries, places = (~(grouped.amin(1).T > limit[:, None])).nonzero(as_tuple=True)
        scores = grouped[places, :, queries]
        which, inside = (~(scores > limit[queries, None])).nonzero(as_tuple=True)
        queries = queries[which] + rows.start
        columns = places[which] * call.tiling.group + inside + start
        real = columns < call.y.shape[0]
        if call.exclude_self:
            real &= columns != queries + begin
        queries, columns = queries[real], columns[real]
        values = metric.exact(x, call.y, queries, columns)
        near = values <= largest
        found.append((queries[near], columns[near], values[near]))

    call.tiles(prepared, begin, call.tiling.rows, take)
    queries, columns, values = (torch.cat(part) for part in zip(*found, strict=True))
    # Tile after tile becomes query after query; columns ascend already.
    queries, order = queries.sort(stable=True)
    return Within(torch.bincount(queries, minlength=end - begin), columns[order], values[order])


def _limit(metric: Metric, largest: float, x_norms: Tensor, group: int, y: Tensor) -> Tensor:
    """Scores [R] above which a pair is certainly farther than `largest`."""
    rows = y.new_empty(-(-y.shape[0] // group) * group, y.shape[1] + 1, dtype=metric.work)
    norm_max = metric.prepare_corpus(y, rows)[1]
    bound = metric.bound(x_norms, x_norms, norm_max, y.shape[1])
    if metric.name == "cosine":
        return largest - 1.0 + bound
    # The square of x's own norm is rounded as the corpus' are.
    own = metric.bound(x_norms, x_norms, x_norms, y.shape[1])
    return largest - x_norms.square() + bound + own
