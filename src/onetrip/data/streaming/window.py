"""Batches of one window at a time, read from the row groups that it crosses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.data.streaming.files import RowGroups
from onetrip.data.streaming.order import Order
from onetrip.data.streaming.tensors import TensorRows, Tensors


class WindowReader:
    """Reads windows; keeps the last, and the row group at its end, which the next one shares."""

    def __init__(self, groups: RowGroups, columns: Sequence[str], shape: Mapping[str, Any]) -> None:
        self._groups, self._columns, self._shape = groups, list(columns), shape
        self._window: tuple[int, int] | None = None
        self._rows: TensorRows | None = None
        self._order: np.ndarray | None = None
        self._group: tuple[int, pa.Table] | None = None

    def read(self, order: Order, epoch: int, window: int, start: int) -> Tensors:
        """The batch that begins with the `start`th row of a window."""
        if self._rows is None or self._window != (epoch, window):
            self._rows = None
            parts = [
                self._read_group(group).slice(first, last - first)
                for group, first, last in order.pieces(epoch, window)
            ]
            table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
            self._rows = TensorRows(table.to_batches()[0], **self._shape)
            self._order = order.within(epoch, window)
            self._window = (epoch, window)
        rows = slice(start, start + order.batch_size)
        return self._rows.take(rows if self._order is None else self._order[rows])

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
