"""The running list of the nearest by score, for a block of queries, and what may enter it.

Selection reads a tile of scores once. It takes the least of every group of consecutive corpus rows,
compares only those with the row's threshold (the last of its list), and looks into the few
groups that pass.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Where a larger share of all groups passes, looking into groups costs more than a full selection.
DENSE_SHARE = 0.25
# Rows that are sorted as soon as parted.
_SORTED_WHOLE = 128


@dataclass(slots=True)
class Running:
    """Least scores of each row so far, [R, K] ascending, and the corpus rows that they are of.

    What is not in a list has a score of at least its last one, or of at least `outer` [R].
    """

    scores: Tensor
    indices: Tensor
    outer: Tensor

    @classmethod
    def empty(cls, rows: int, width: int, dtype: torch.dtype, device: torch.device) -> "Running":
        """Nothing seen yet: infinitely far."""
        scores = torch.full((rows, width), torch.inf, dtype=dtype, device=device)
        indices = torch.full((rows, width), -1, dtype=torch.int64, device=device)
        return cls(scores, indices, scores.new_full((rows,), torch.inf))

    def part(self, rows: slice) -> "Running":
        """A view of some rows."""
        return Running(self.scores[rows], self.indices[rows], self.outer[rows])

    @property
    def beyond(self) -> Tensor:
        """Scores [R] that nothing outside of the lists is below."""
        return torch.minimum(self.scores[:, -1], self.outer)

    def take_tile(self, tile: Tensor, start: int, group: int) -> None:
        """Merge scores `tile` [C, R] of corpus rows from `start` on; C is a multiple of `group`."""
        C, R = tile.shape
        width = self.scores.shape[1]
        groups = C // group
        if width * 2 > groups:
            self._take_all(tile, start)
            return
        grouped = tile.view(groups, group, R)
        least = grouped.amin(1).T.contiguous()  # [R, groups]
        threshold = self.scores[:, -1]
        if bool(torch.isinf(threshold).any()):
            # The width-th least group has as many scores below it: no later one can enter.
            first = kth_least(least, width)
            threshold = torch.minimum(
                threshold, torch.nextafter(first, first.new_tensor(torch.inf))
            )
        passing = true_places(least < threshold[:, None])
        if passing.numel() > DENSE_SHARE * R * groups:
            self._take_all(tile, start)
            return
        rows, places = passing // groups, passing % groups
        self.enter(grouped[places, :, rows], rows, places, threshold, start)

    def enter(
        self, found: Tensor, rows: Tensor, places: Tensor, threshold: Tensor, start: int
    ) -> None:
        """Let in what is below the `threshold` [R] of its list.

        `found` [P, group] are the scores of the lists `rows` [P], ascending, with the groups
        `places` [P] of the corpus from row `start` on.
        """
        group = found.shape[1]
        inside = true_places(found < threshold.index_select(0, rows)[:, None])
        which = inside // group
        columns = places.index_select(0, which) * group + inside % group + start
        self._merge(rows.index_select(0, which), columns, found.view(-1).index_select(0, inside))

    def _take_all(self, tile: Tensor, start: int) -> None:
        width = min(self.scores.shape[1], tile.shape[0])
        columns = _places_of_least(tile.T, width)
        scores = tile.T.gather(1, columns)
        self._keep(slice(None), scores, columns + start)

    def _merge(self, rows: Tensor, columns: Tensor, scores: Tensor) -> None:
        if rows.numel() == 0:
            return
        active, scores, columns = pad_rows(rows, (scores, columns), (torch.inf, -1))
        whole = len(active) == len(self.scores)
        self._keep(slice(None) if whole else active, scores, columns)

    def _keep(self, rows: Tensor | slice, scores: Tensor, indices: Tensor) -> None:
        joined = torch.cat([self.scores[rows], scores], 1)
        places = _places_of_least(joined, self.scores.shape[1])
        self.scores[rows] = joined.gather(1, places)
        self.indices[rows] = torch.cat([self.indices[rows], indices], 1).gather(1, places)


def _places_of_least(scores: Tensor, width: int) -> Tensor:
    """Columns [R, width] of the least of each row of `scores` [R, C], ascending by score.

    NumPy's sorting uses vector instructions: of 450 x 24 the first 9 in 0.07 ms, torch takes 0.2;
    of 200 x 300 the first 72 in 0.4 and 1.2.
    """
    if not scores.is_cpu:
        return torch.topk(scores, width, dim=1, largest=False).indices
    values = scores.numpy()
    if values.shape[1] <= _SORTED_WHOLE:
        return torch.from_numpy(np.argsort(values, axis=1)[:, :width])
    places = np.argpartition(values, width - 1, axis=1)[:, :width]
    order = np.argsort(np.take_along_axis(values, places, 1), axis=1)
    return torch.from_numpy(np.take_along_axis(places, order, 1))


def kth_least(values: Tensor, k: int) -> Tensor:
    """The k-th least of each row of `values` [R, C].

    NumPy's partition uses vector instructions: 0.3 ms for the 9th of 899 x 113, torch's selection
    takes 1.5.

    >>> kth_least(torch.tensor([[3.0, 1.0, 2.0]]), 2)
    tensor([2.])
    """
    if not values.is_cpu:
        return torch.kthvalue(values, k, dim=1).values
    return torch.from_numpy(np.partition(values.numpy(), k - 1, axis=1)[:, k - 1])


def true_places(mask: Tensor) -> Tensor:
    """Where `mask` is true, ascending, as places in its memory laid out in a row.

    NumPy's search takes half of the time of torch's, which counts first and answers a pair each.

    >>> true_places(torch.tensor([[False, True], [True, False]]))
    tensor([1, 2])
    """
    if not mask.is_cpu:
        return mask.flatten().nonzero().flatten()
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def pad_rows(
    rows: Tensor, values: tuple[Tensor, ...], fill: tuple[float, ...]
) -> tuple[Tensor, ...]:
    """Lay values of ascending `rows` out as a matrix with a line for each row that occurs.

    >>> rows, scores = torch.tensor([0, 0, 3]), torch.tensor([1.0, 2.0, 5.0])
    >>> pad_rows(rows, (scores,), (9.0,))
    (tensor([0, 3]), tensor([[1., 2.], [5., 9.]]))
    """
    active, line, counts = torch.unique_consecutive(rows, return_inverse=True, return_counts=True)
    begins = counts.cumsum(0) - counts
    place = torch.arange(rows.shape[0], device=rows.device) - begins[line]
    shape = active.shape[0], int(counts.max())
    padded = []
    for value, filler in zip(values, fill, strict=True):
        matrix = torch.full(shape, filler, dtype=value.dtype, device=value.device)
        matrix[line, place] = value
        padded.append(matrix)
    return active, *padded
