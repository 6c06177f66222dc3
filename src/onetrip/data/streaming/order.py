"""Which rows come when: a pure function of seed, epoch, rank and number of the batch.

An epoch lays the row groups out in a random order. Each rank takes a stretch of this line of rows,
cuts it into windows, and shuffles within each window. As nothing depends on what was read before,
a stream can go on at any batch, and several workers can share one rank's batches, whichever way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Rows read at once where nothing is shuffled.
_PLAIN_WINDOW = 16_384


@dataclass(frozen=True)
class Order:
    """The order of one rank's rows.

    `group_rows` [G] counts the rows of each row group. A window holds whole batches: at least
    `shuffle_buffer` rows, or 16,384 in the order of the files where that is 0.
    """

    group_rows: np.ndarray
    batch_size: int
    shuffle_buffer: int
    seed: int
    rank: int
    world: int
    drop_last: bool

    @property
    def rows(self) -> int:
        """Rows of this rank in an epoch; with `drop_last`, the same for all ranks."""
        first, last = self._stretch
        return last - first

    @property
    def batches(self) -> int:
        """Batches of this rank in an epoch."""
        return self.rows // self.batch_size if self.drop_last else -(-self.rows // self.batch_size)

    @property
    def window_batches(self) -> int:
        """Batches of one window."""
        return max(1, -(-(self.shuffle_buffer or _PLAIN_WINDOW) // self.batch_size))

    def pieces(self, epoch: int, window: int) -> Iterator[tuple[int, int, int]]:
        """Row group, first row and last + 1, of what one window reads."""
        groups = np.arange(len(self.group_rows))
        if self.shuffle_buffer:
            groups = self._random(epoch).permutation(groups)
        ends = np.cumsum(self.group_rows[groups])
        start, stop = self._window(window)
        at = int(np.searchsorted(ends, start, side="right"))
        while start < stop:
            group = int(groups[at])
            begin = int(ends[at] - self.group_rows[group])
            end = min(int(ends[at]), stop)
            if end > start:
                yield group, start - begin, end - begin
            start, at = end, at + 1

    def within(self, epoch: int, window: int) -> np.ndarray | None:
        """Order of the rows of one window; None where they stay as they are."""
        if not self.shuffle_buffer:
            return None
        start, stop = self._window(window)
        return self._random(epoch, self.rank, window).permutation(stop - start)

    @property
    def _stretch(self) -> tuple[int, int]:
        total = int(self.group_rows.sum())
        if self.drop_last:
            share = total // self.world
            return self.rank * share, (self.rank + 1) * share
        return self.rank * total // self.world, (self.rank + 1) * total // self.world

    def _window(self, window: int) -> tuple[int, int]:
        first, last = self._stretch
        size = self.window_batches * self.batch_size
        return first + window * size, min(first + (window + 1) * size, last)

    def _random(self, *what: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, *what))))
