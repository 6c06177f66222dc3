"""The implementation in plain torch: tiles of scores that stay in a core's cache.

First every query keeps a few more neighbours than it is asked for, by scores from a product. Then
those whose score is within the certified bound of the last one wanted are evaluated exactly, in
difference form in float64, and sorted. Where the list was too short to be certain (many ties) the
query goes through the corpus once more and evaluates all that its bound lets through.

Scores of float64 data are of float32 on a CPU, at half of the time; where those leave too many
queries uncertain, of float64. A corpus that is one tile needs no list (`one_tile.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors.few import nearest_of_few
from onetrip.ops.kneighbors.groups import exclude_diagonal, fill
from onetrip.ops.kneighbors.metric import Differences, Metric, make_metric
from onetrip.ops.kneighbors.one_tile import OneTile
from onetrip.ops.kneighbors.plan import (
    CAREFUL_ROWS,
    Tiling,
    evaluates_all,
    list_width,
    make_stretches,
    make_tiling,
    rows_of_a_tile,
    rows_of_a_worker,
    splits_corpus,
    suits_one_thread,
)
from onetrip.ops.kneighbors.running import Running, pad_rows, true_places
from onetrip.tile.side_by_side import on_one_thread, run_side_by_side, worker_count

# Where fewer queries are certain, going through the corpus anew for the others takes longer than
# wider scores for all.
_CERTAIN_SHARE = 0.875


@dataclass(frozen=True, slots=True)
class Found:
    """Neighbours of every query, the nearest first, ties by the smallest index.

    `values` [Q, k] float64 are exact and ascending (`Metric.finish` makes distances of them),
    `indices` [Q, k] int64; `reevaluated` counts the queries whose last neighbour only the exact
    evaluation decided.
    """

    values: Tensor
    indices: Tensor
    reevaluated: int


@dataclass(frozen=True, slots=True)
class Search:
    """One call: the data as they came, and what is asked.

    `y` may be a part of the corpus, which begins at its row `first`; indices count from there.
    `wider` is the metric to start again with, where the scores of `metric` tell too little.
    """

    x: Tensor
    y: Tensor
    first: int
    k: int
    metric: Metric
    exclude_self: bool
    certified: bool
    width: int
    tiling: Tiling
    wider: Metric | None = None

    def tiles(
        self, prepared: Tensor, first: int, step: int, take: Callable[[Tensor, int, slice], None]
    ) -> Tensor:
        """Show `take` all tiles of scores [C, R] with the corpus row and query rows they begin at.

        `prepared` are query rows from `first` on, of the whole call. Returns the largest norm of
        the corpus.
        """
        columns, group = self.tiling.columns, self.tiling.group
        N, D = self.y.shape
        scratch = prepared.new_empty(columns * min(step, prepared.shape[0]))
        corpus = prepared.new_empty(columns, D + 1)
        norm_max = prepared.new_zeros(())
        for start in range(0, N, columns):
            y = self.y[start : start + columns]
            used = corpus[: -(-y.shape[0] // group) * group]
            used, largest = self.metric.prepare_corpus(y, used)
            norm_max = torch.maximum(norm_max, largest)
            for begin in range(0, prepared.shape[0], step):
                x = prepared[begin : begin + step]
                tile = scratch[: used.shape[0] * x.shape[0]].view(used.shape[0], x.shape[0])
                self.metric.scores(x, used, tile)
                if self.exclude_self:
                    exclude_diagonal(tile, self.first + start, first + begin)
                take(tile, start, slice(begin, begin + x.shape[0]))
        return norm_max


def search(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str,
    *,
    exclude_self: bool = False,
    certified: bool = True,
    ranked: bool = True,
    config: Config,
) -> Found:
    """Find the `k` nearest rows of `y` [N, D] for every row of `x` [Q, D].

    Without `ranked` they may come in any order, and without values.
    """
    Q, N = x.shape[0], y.shape[0]
    if certified and x.is_cpu and evaluates_all(Q, N, x.shape[1]):
        plain = Metric(metric, torch.float64, None)
        return Found(*nearest_of_few(x, y, k, plain, exclude_self=exclude_self), 0)
    width = list_width(k, N - exclude_self, certified)
    tiling = make_tiling(Q, N, width, config)
    scores = make_metric(metric, x, y)
    call = Search(x, y, 0, k, scores, exclude_self, certified, width, tiling)
    if certified and x.is_cpu and (narrow := scores.narrowed()) is not None:
        call = replace(call, metric=narrow, wider=scores)
    with on_one_thread(where=x.is_cpu and suits_one_thread(Q, N)):
        return _search_shared(call, scores, ranked=ranked)


def _search_shared(call: Search, scores: Metric, *, ranked: bool) -> Found:
    """The answer, queries or corpus divided among workers; `scores` are those of the data."""
    x, y, k, tiling = call.x, call.y, call.k, call.tiling
    Q, N = x.shape[0], y.shape[0]
    workers = worker_count() if x.device.type == "cpu" else 1
    if splits_corpus(Q, N, call.width, workers, tiling):
        # Few queries: each worker prepares and searches a part of the corpus for all of them.
        rows = -(-N // workers)
        calls = [replace(call, y=y[n : n + rows], first=n) for n in range(0, N, rows)]
        parts = run_side_by_side([partial(_search_rows, part, 0, Q) for part in calls])
        return merge(parts, [part.first for part in calls], k)
    rows = rows_of_a_worker(Q, workers, tiling)
    take = partial(_search_rows, call)
    if call.certified and x.is_cpu and N <= tiling.columns and not isinstance(scores, Differences):
        asked = {"exclude_self": call.exclude_self, "ranked": ranked, "group": tiling.group}
        take = partial(_search_tile, call, OneTile.of(y, k, call.metric, **asked))
    return _joined(
        run_side_by_side(
            [partial(take, begin, min(begin + rows, Q)) for begin in range(0, Q, rows)]
        )
    )


@torch.no_grad()
def _search_tile(call: Search, corpus: OneTile, begin: int, end: int) -> Found:
    """The answer for a worker's queries, a tile of them at a time."""
    step = rows_of_a_tile(end - begin, call.tiling)
    parts = []
    for start in range(begin, end, step):
        stop = min(start + step, end)
        found = corpus.nearest(call.x[start:stop], start)
        parts.append(_search_rows(call, start, stop) if found is None else Found(*found))
    return _joined(parts)


def _joined(parts: Sequence[Found]) -> Found:
    """What was found for consecutive queries."""
    if len(parts) == 1:
        return parts[0]
    return Found(
        torch.cat([part.values for part in parts]),
        torch.cat([part.indices for part in parts]),
        sum(part.reevaluated for part in parts),
    )


def merge(parts: Sequence[Found], firsts: Sequence[int], k: int) -> Found:
    """The `k` nearest of what was found in consecutive parts of the corpus."""
    values = torch.cat([part.values for part in parts], 1)
    indices = [part.indices + first for part, first in zip(parts, firsts, strict=True)]
    # Stable, and indices ascend from part to part: the smallest index wins a tie.
    values, order = values.sort(dim=1, stable=True)
    best = torch.cat(indices, 1).gather(1, order[:, :k])
    return Found(values[:, :k].contiguous(), best, max(part.reevaluated for part in parts))


@torch.no_grad()
def _search_rows(call: Search, begin: int, end: int) -> Found:
    x = call.x[begin:end]
    prepared, x_norms = call.metric.prepare_queries(x)
    running = Running.empty(x.shape[0], call.width, prepared.dtype, x.device)
    if call.certified and x.is_cpu and not isinstance(call.metric, Differences):
        own = begin - call.first if call.exclude_self else None
        plan = make_stretches(call.y.shape[1], call.tiling)
        norm_max = fill(running, prepared, call.y, call.metric, plan, own)
    else:
        norm_max = _fill_by_tiles(call, running, prepared, begin)
    kth = running.scores[:, call.k - 1]
    bound = call.metric.bound(kth, x_norms, norm_max, call.y.shape[1])
    if call.wider is not None:
        _, certain = _certainty(call, running, bound)
        if int(certain.sum()) < _CERTAIN_SHARE * len(certain):
            return _search_rows(replace(call, metric=call.wider, wider=None), begin, end)
    return settle(call, begin, prepared, running, bound)


def _fill_by_tiles(call: Search, running: Running, prepared: Tensor, begin: int) -> Tensor:
    """`fill`, with each tile looked into while it is there: any metric, on any device."""

    def take(tile: Tensor, start: int, rows: slice) -> None:
        running.part(rows).take_tile(tile, start, call.tiling.group)

    step = rows_of_a_tile(prepared.shape[0], call.tiling)
    return call.tiles(prepared, begin, step, take)


def _certainty(call: Search, running: Running, bound: Tensor) -> tuple[Tensor, Tensor]:
    """The score up to which a neighbour may lie, and whether the list [R, K] holds all up to it."""
    limit = running.scores[:, call.k - 1] + 2.0 * bound
    # Neither an infinity nor a NaN is certain; a list that holds everybody is.
    certain = running.beyond > limit
    if call.width == call.y.shape[0] - call.exclude_self:
        certain |= torch.isfinite(running.scores[:, call.width - 1])
    return limit, certain & torch.isfinite(limit)


def settle(
    call: Search,
    begin: int,
    prepared: Tensor,
    running: Running,
    bound: Tensor,
    evaluate: Callable[[Tensor], Tensor] | None = None,
) -> Found:
    """The answer for queries from `begin` on, from their lists by score, ascending, and its bound.

    `evaluate` gives exact values for indices [R, K]; without it only those are evaluated that the
    bound lets through.
    """
    x, k = call.x[begin : begin + prepared.shape[0]], call.k
    scores, indices = running.scores, running.indices
    if call.certified:
        limit, certain = _certainty(call, running, bound)
        within = (scores <= limit[:, None]) & certain[:, None]
        reevaluated = int(((within.sum(1) > k) | ~certain).sum())
    else:
        limit = scores[:, -1]
        certain = torch.ones_like(limit, dtype=torch.bool)
        within = scores < torch.inf
        reevaluated = 0
    if evaluate is None:
        places = true_places(within)
        values = torch.full(scores.shape, torch.inf, dtype=torch.float64, device=x.device)
        rows, columns = places // call.width, indices.view(-1).index_select(0, places)
        values.view(-1)[places] = call.metric.exact(x, call.y, rows, columns)
    else:
        values = torch.where(within, evaluate(indices), torch.inf)
    values, indices = sort_exactly(values, indices, k)
    again = (~certain).nonzero().flatten()
    for part in again.split(CAREFUL_ROWS) if again.numel() else ():
        values[part], indices[part] = _search_carefully(
            call, x[part], prepared[part], limit[part], begin + part
        )
    return Found(values, indices, reevaluated)


def _search_carefully(
    call: Search, x: Tensor, prepared: Tensor, limit: Tensor, numbers: Tensor
) -> tuple[Tensor, Tensor]:
    """Evaluate exactly all that `limit` lets through, tile by tile, for queries `numbers`."""
    k, group = call.k, call.tiling.group
    best = torch.full((x.shape[0], k), torch.inf, dtype=torch.float64, device=x.device)
    best_at = torch.full((x.shape[0], k), call.y.shape[0], dtype=torch.int64, device=x.device)

    def take(tile: Tensor, start: int, _: slice) -> None:
        grouped = tile.view(-1, group, tile.shape[1])
        # Written so that a NaN passes.
        rows, places = (~(grouped.amin(1).T > limit[:, None])).nonzero(as_tuple=True)
        found = grouped[places, :, rows]
        which, inside = (~(found > limit[rows, None])).nonzero(as_tuple=True)
        rows = rows[which]
        columns = places[which] * group + inside + start
        real = columns < call.y.shape[0]
        if call.exclude_self:
            real &= columns + call.first != numbers[rows]
        rows, columns = rows[real], columns[real]
        if rows.numel() == 0:
            return
        values = call.metric.exact(x, call.y, rows, columns)
        active, values, columns = pad_rows(rows, (values, columns), (torch.inf, call.y.shape[0]))
        values = torch.cat([best[active], values], 1)
        # Stable, and columns ascend from tile to tile: the smallest index wins a tie.
        values, order = values.sort(dim=1, stable=True)
        best[active] = values[:, :k]
        best_at[active] = torch.cat([best_at[active], columns], 1).gather(1, order[:, :k])

    # Excluded above: these rows are no range of the corpus.
    plain = replace(call, exclude_self=False)
    plain.tiles(prepared, 0, CAREFUL_ROWS, take)
    return best, best_at


def sort_exactly(values: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` least of each row with their indices, ascending, ties by the smallest index."""
    ordered, order = values.sort(dim=1)
    sorted_indices = indices.gather(1, order)
    # Of those that are handed out, and the first that is not.
    tied = ordered[:, 1 : k + 1] == ordered[:, :-1][:, :k]
    again = tied.any(1).nonzero().flatten()
    if again.numel():
        by_index, order = indices[again].sort(dim=1)
        ordered[again], order = values[again].gather(1, order).sort(dim=1, stable=True)
        sorted_indices[again] = by_index.gather(1, order)
    return ordered[:, :k].contiguous(), sorted_indices[:, :k].contiguous()
