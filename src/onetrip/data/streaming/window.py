"""Rows of one window in memory, read from the row groups that it crosses."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.data.streaming.files import RowGroups
from onetrip.data.streaming.order import Order


class Window:
    """Rows as read, and the order in which they are given."""

    def __init__(self, rows: pa.RecordBatch, order: np.ndarray | None) -> None:
        self._rows, self._order = rows, order

    def part(self, start: int, size: int) -> pa.RecordBatch:
        """At most `size` rows from the `start`th on, in the window's order."""
        if self._order is None:
            return self._rows.slice(start, size)
        return self._rows.take(pa.array(self._order[start : start + size]))


class WindowReader:
    """Reads windows; keeps the last, and the row group at its end, which the next one shares."""

    def __init__(self, groups: RowGroups, columns: Sequence[str]) -> None:
        self._groups, self._columns = groups, list(columns)
        self._window: tuple[int, int, Window] | None = None
        self._group: tuple[int, pa.Table] | None = None

    def read(self, order: Order, epoch: int, window: int) -> Window:
        """The window with this number."""
        if self._window is None or self._window[:2] != (epoch, window):
            self._window = None
            parts = [
                self._read_group(group).slice(start, stop - start)
                for group, start, stop in order.pieces(epoch, window)
            ]
            table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
            rows = table.to_batches()[0]
            self._window = (epoch, window, Window(rows, order.within(epoch, window)))
        return self._window[2]

    def _read_group(self, group: int) -> pa.Table:
        if self._group is None or self._group[0] != group:
            self._group = None
            path = self._groups.files[self._groups.file[group]]
            # One thread: a worker of a DataLoader has one core, and may be forked.
            with pq.ParquetFile(path) as opened:
                number = int(self._groups.number[group])
                table = opened.read_row_group(number, self._columns, use_threads=False)
            self._group = (group, table)
        return self._group[1]
