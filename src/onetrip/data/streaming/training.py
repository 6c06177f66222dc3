"""`onetrip.data.stream`: batches for a training loop, from files, with exact resume."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.streaming.files import RowGroups, parquet_files, row_groups
from onetrip.data.streaming.order import Order
from onetrip.data.streaming.tensors import Layout, Tensors
from onetrip.data.streaming.window import WindowReader


def stream(
    path: str | Path | Sequence[str | Path],
    batch_size: int = 256,
    columns: Sequence[str] = ("input_ids",),
    shuffle_buffer: int = 65_536,
    rank: int = 0,
    world: int = 1,
    state: Mapping[str, Any] | None = None,
    *,
    split: str | None = None,
    seed: int = 0,
    drop_last: bool = False,
    layout: Layout = "padded",
    pad_id: int = 0,
    pad_to: int | None = None,
    pin_memory: bool | None = None,
) -> "TrainingStream":
    """Iterate over the batches of a tokenised dataset, once per ``for``.

    Row groups come in a random order, rows are shuffled within windows of `shuffle_buffer`. The
    order is a function of `seed`, epoch, `rank` and `world` alone: any number of
    `torch.utils.data.DataLoader` workers gives the same batches in the same order, and a
    resumed stream gives the batch that would have come.

    Parameters
    ----------
    path : a Parquet file, several, a folder of them, an export, or a finished dataset's folder.
    batch_size : rows of a batch, B.
    columns : what a batch holds.
    shuffle_buffer : rows within which rows change places; 0 keeps the order of the files. About
        this many rows, and one row group, are in memory.
    rank, world : this process among those that share the dataset. Ranks' rows are disjoint, and
        together all.
    state : what `state_dict` of an earlier stream gave; the stream goes on behind it.
    split : of an export, this split alone; needed where it has several. A finished dataset has all
        splits in the same files, and is streamed as a whole: export it first.
    seed : another seed, another order.
    drop_last : leave out what does not fill a batch, and the rows by which ranks would differ:
        every rank has the same number of batches.
    layout, pad_id, pad_to : how lists lie: padded to the longest row of the batch or `pad_to`, or
        packed; see `onetrip.data.streaming.tensors.TensorRows`.
    pin_memory : put tensors into pinned memory. None: where there is a CUDA device, outside of
        workers (a DataLoader pins by its own ``pin_memory=True``).

    Returns
    -------
    TrainingStream, an `IterableDataset` of dictionaries. ``input_ids [B, L]`` int64 and
    ``input_ids_lengths [B]`` int64 when padded, ``input_ids [T]`` and ``input_ids_offsets [B + 1]``
    int32 when packed.

    Raises
    ------
    ArgumentError
        A value is not allowed, a column is not there, or `state` is of another stream.
    DataError
        There are no files, or their columns differ.

    Notes
    -----
    With a DataLoader, pass ``batch_size=None``; the loader's position is ``stream.state_after(n)``
    once it gave n batches of this epoch, and `set_epoch` chooses the next epoch.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet as pq, tempfile
    >>> import onetrip.data
    >>> folder = tempfile.mkdtemp()
    >>> rows = pa.table({"input_ids": pa.array([[1, 5, 2], [1, 2]], pa.list_(pa.uint16()))})
    >>> pq.write_table(rows, f"{folder}/train-00000.parquet")
    >>> batches = onetrip.data.stream(folder, batch_size=2, shuffle_buffer=0)
    >>> next(iter(batches))["input_ids"].tolist()
    [[1, 5, 2], [1, 2, 0]]
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("shuffle_buffer", shuffle_buffer, 0),
        ("world", world, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ArgumentError(complaint(name, expected=f"at least {least}", got=value))
    if not 0 <= rank < world:
        raise ArgumentError(complaint("rank", expected=f"0 to {world - 1}", got=rank))
    if layout not in ("padded", "packed"):
        raise ArgumentError(complaint("layout", expected="padded or packed", got=repr(layout)))
    groups = row_groups(parquet_files(path, split))
    if missing := [name for name in columns if name not in groups.columns]:
        expected = f"some of {', '.join(groups.columns)}"
        raise ArgumentError(complaint("columns", expected=expected, got=repr(missing[0])))
    order = Order(groups.rows, batch_size, shuffle_buffer, seed, rank, world, drop_last)
    shape = {"layout": layout, "pad_id": pad_id, "pad_to": pad_to}
    made = TrainingStream(groups, order, tuple(columns), shape, pin_memory)
    if state is not None:
        made.load_state_dict(state)
    return made


class TrainingStream(IterableDataset[Tensors]):
    """Batches of one rank, made by `stream`: each ``for`` is what is left of an epoch."""

    def __init__(
        self,
        groups: RowGroups,
        order: Order,
        columns: tuple[str, ...],
        shape: Mapping[str, Any],
        pin_memory: bool | None,
    ) -> None:
        self._groups, self._order, self._columns, self._shape = groups, order, columns, shape
        self._pin_memory = pin_memory
        self._epoch = self._batch = 0

    def __len__(self) -> int:
        """Batches of an epoch, for this rank."""
        return self._order.batches

    def __iter__(self) -> Iterator[Tensors]:
        """The batches that are left of this epoch; a worker's share of them in a DataLoader."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        pinned = self._pin_memory
        if pinned is None:
            pinned = info is None and torch.cuda.is_available()
        for tensors in self._share(worker, workers):
            yield {
                name: value.pin_memory() if pinned and isinstance(value, torch.Tensor) else value
                for name, value in tensors.items()
            }

    def set_epoch(self, epoch: int) -> None:
        """Begin `epoch` from its start."""
        if epoch < 0:
            raise ArgumentError(complaint("epoch", expected="at least 0", got=epoch))
        self._epoch, self._batch = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is: JSON-able, good for `load_state_dict` and `stream(state=...)`."""
        return {"epoch": self._epoch, "batch": self._batch, **self._identity()}

    def state_after(self, batches: int) -> dict[str, Any]:
        """Where a loader over this stream is when it gave so many batches of this epoch."""
        if not 0 <= batches <= len(self):
            expected = f"0 to {len(self)}, the batches of an epoch"
            raise ArgumentError(complaint("batches", expected=expected, got=batches))
        return {**self.state_dict(), "batch": batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; raises ArgumentError when it is of another stream."""
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise ArgumentError(
                    complaint(
                        "state",
                        expected=f"of a stream with {name}={value!r}",
                        got=repr(state.get(name)),
                        way_out="Open the stream with the files and arguments that it had.",
                    )
                )
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    def _identity(self) -> dict[str, Any]:
        """What must agree for an order to be the same."""
        order = self._order
        names = ("batch_size", "shuffle_buffer", "seed", "rank", "world", "drop_last")
        return {"files": self._groups.digest, **{name: getattr(order, name) for name in names}}

    def _share(self, worker: int, workers: int) -> Iterator[Tensors]:
        """Every `workers`th batch from here on; a loader takes one of each worker in turn."""
        reader = WindowReader(self._groups, self._columns, self._shape)
        size, per_window = self._order.batch_size, self._order.window_batches
        while (number := self._batch + worker) < len(self):
            window, within = divmod(number, per_window)
            tensors = reader.read(self._order, self._epoch, window, within * size)
            self._batch += workers
            yield tensors
        self._epoch, self._batch = self._epoch + 1, 0
