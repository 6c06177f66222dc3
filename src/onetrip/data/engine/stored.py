"""What stages leave for each other: rows in shards, artifacts, and a scratch folder between."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.core.errors import DataError, complaint
from onetrip.data.step import Stream
from onetrip.data.store.aside import AsideFile, sync_folder


def read_shards(
    shards: Sequence[Path], batch_rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Record batches of Parquet files in their order; one row group in memory at a time."""
    for path in shards:
        with pq.ParquetFile(path, memory_map=True) as file:
            wanted = None if columns is None else list(columns)
            yield from file.iter_batches(batch_rows, columns=wanted, use_threads=False)


class ShardStream(Stream):
    """The rows of all shards, as often as they are asked for."""

    def __init__(self, shards: Sequence[Path], rows: int, batch_rows: int) -> None:
        self._shards, self._rows, self._batch_rows = shards, rows, batch_rows

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._rows

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Record batches with `columns`, or with all."""
        return read_shards(self._shards, self._batch_rows, columns)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder below `folder` for one task, gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_artifacts(folder: Path, artifacts: Mapping[str, bytes]) -> dict[str, str]:
    """Write what was learnt; SHA-256 by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, content in artifacts.items():
        if PurePosixPath(name).name != name or name.startswith("."):
            raise DataError(complaint("artifact", expected="a plain file name", got=repr(name)))
        file = AsideFile(folder / name)
        try:
            file.write(content)
            digests[name] = file.publish().sha256
        except BaseException:
            file.discard()
            raise
    sync_folder(folder)
    return digests
