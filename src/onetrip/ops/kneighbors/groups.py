"""Lists of the nearest by the least score of each group of corpus rows, on a CPU.

A tile of scores is read once, for the least of each group, and given up. Two calls take a tile, and
both are long: threads that make many short ones wait for each other, and tiles that are kept for a
selection are too few or leave the cache. When a stretch of the corpus is through, a query looks
into the few groups whose least may enter its list, and multiplies their rows once more.

The second product need not round as the first one did. Both are within the bound of the truth; what
a list has not seen is at least at its `outer` by one of the two, so a certificate holds as before.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kneighbors.metric import Metric
from onetrip.ops.kneighbors.plan import GATHERED, Stretches
from onetrip.ops.kneighbors.running import DENSE_SHARE, Running, kth_least, true_places

# Blocks of groups for each entry of a list, of which the first threshold is selected: of fewer,
# more hold two entries, and the threshold lets more groups pass.
_BLOCKS_PER_ENTRY = 8


def fill(
    running: Running, prepared: Tensor, y: Tensor, metric: Metric, plan: Stretches, own: int | None
) -> Tensor:
    """Fill the lists of queries from a corpus; returns the largest norm of its rows.

    Parameters
    ----------
    running : lists [R, K], as they begin
    prepared : Tensor [R, D + 1], the queries as `Metric.prepare_queries` returns them
    y : Tensor [N, D], the corpus as it came
    metric : of products
    plan : how the corpus is divided
    own : row of the corpus that is the first query itself, which is left out, as is the next for
        the next; None where queries are others
    """
    N, D = y.shape
    R, group = prepared.shape[0], plan.group
    corpus = prepared.new_empty(min(plan.rows, -(-N // group) * group), D + 1)
    scratch = prepared.new_empty(plan.columns * min(plan.queries, R))
    norm_max = prepared.new_zeros(())
    for start in range(0, N, plan.rows):
        part = y[start : start + plan.rows]
        used, largest = metric.prepare_corpus(part, corpus[: -(-part.shape[0] // group) * group])
        norm_max = torch.maximum(norm_max, largest)
        for begin in range(0, R, plan.queries):
            x = prepared[begin : begin + plan.queries]
            lists = running.part(slice(begin, begin + x.shape[0]))
            own_row = None if own is None else own + begin - start
            stretch = _Stretch(x, used, start, metric, plan, scratch, own_row)
            if not stretch.enter(lists):
                stretch.enter_by_tiles(lists)
    return norm_max


class _Stretch:
    """Some queries and a stretch of the corpus from row `start` on, both prepared."""

    def __init__(
        self,
        x: Tensor,
        corpus: Tensor,
        start: int,
        metric: Metric,
        plan: Stretches,
        scratch: Tensor,
        own: int | None,
    ) -> None:
        self._x, self._corpus, self._start = x, corpus, start
        self._metric, self._plan, self._scratch, self._own = metric, plan, scratch, own

    def enter(self, lists: Running) -> bool:
        """Let the lists take what is nearer; False, and nothing done, where too much would pass."""
        least = self._least()  # [G, R]
        groups = least.shape[0]
        threshold = lists.scores[:, -1]
        if bool(torch.isinf(threshold).any()):
            first = self._first_threshold(least, lists.scores.shape[1])
            if first is None:
                return False
            threshold = torch.minimum(threshold, first)
        # A copy of the mask, that finds groups query by query, is a quarter of one of the scores.
        passing = true_places((least < threshold).T.contiguous())
        if passing.numel() > DENSE_SHARE * least.numel():
            return False
        torch.minimum(lists.outer, threshold, out=lists.outer)
        rows = passing // groups
        places = passing - rows * groups
        lists.enter(self._scores_of(rows, places), rows, places, threshold, self._start)
        return True

    def enter_by_tiles(self, lists: Running) -> None:
        """The same, whatever passes: each tile is looked into while it is there."""
        for first, tile in self._tiles():
            lists.take_tile(tile, self._start + first, self._plan.group)

    def _least(self) -> Tensor:
        """Least score of each group and query [G, R]."""
        R, group = self._x.shape[0], self._plan.group
        least = self._x.new_empty(self._corpus.shape[0] // group, R)
        for first, tile in self._tiles():
            at = slice(first // group, (first + tile.shape[0]) // group)
            torch.amin(tile.view(-1, group, R), 1, out=least[at])
        return least

    @staticmethod
    def _first_threshold(least: Tensor, width: int) -> Tensor | None:
        """A number [R] that `width` scores are below; None where there are fewer groups.

        The width-th least of `least` [G, R] would do. The same of the least of several groups is
        hardly more, as few of them hold two of those, and there are fewer to select from.
        """
        groups, R = least.shape
        several = max(1, groups // (_BLOCKS_PER_ENTRY * width))
        blocks = groups // several
        if blocks < width:
            return None
        coarse = least[: blocks * several].view(blocks, several, R).amin(1)
        first = kth_least(coarse.T.contiguous(), width)
        # Up to it there are as many; no later score can enter.
        return torch.nextafter(first, first.new_tensor(torch.inf))

    def _tiles(self) -> Iterator[tuple[int, Tensor]]:
        """Tiles of scores [C, R], in the same memory, with the row that each begins at."""
        R = self._x.shape[0]
        for first in range(0, self._corpus.shape[0], self._plan.columns):
            rows = self._corpus[first : first + self._plan.columns]
            tile = self._scratch[: rows.shape[0] * R].view(rows.shape[0], R)
            self._metric.scores(self._x, rows, tile)
            if self._own is not None:
                exclude_diagonal(tile, first, self._own)
            yield first, tile

    def _scores_of(self, rows: Tensor, places: Tensor) -> Tensor:
        """Scores [P, group] of queries `rows` [P] with the rows of the groups `places` [P]."""
        group, width = self._plan.group, self._x.shape[1]
        x, corpus = self._x.numpy(), self._corpus.view(-1, group * width).numpy()
        found = torch.empty(rows.shape[0], group, dtype=self._x.dtype)
        out = found.numpy()[:, :, None]
        step = max(1, GATHERED // (group * width))
        for begin in range(0, rows.shape[0], step):
            part = slice(begin, begin + step)
            near = corpus.take(places[part].numpy(), 0).reshape(-1, group, width)
            asked = x.take(rows[part].numpy(), 0)[:, :, None]
            with np.errstate(over="ignore", invalid="ignore"):
                np.matmul(near, asked, out=out[part])
        if self._own is not None:
            member = rows + self._own - places * group
            own = true_places((member >= 0) & (member < group))
            found[own, member[own]] = torch.inf
        return found


def exclude_diagonal(tile: Tensor, start: int, first: int) -> None:
    """Put the pairs of a row with itself infinitely far; the tile begins at (`start`, `first`)."""
    low = max(start, first)
    high = min(start + tile.shape[0], first + tile.shape[1])
    if low < high:
        tile[low - start : high - start, low - first : high - first].diagonal().fill_(torch.inf)
