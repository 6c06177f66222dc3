"""Which Parquet files a path means, and how many rows each of their row groups has."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from onetrip.core.errors import DataError, complaint
from onetrip.data.store.dataset import open_finished

_WAY_OUT = "Give a Parquet file, a folder of them, an export, or a dataset that a run finished."


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Row groups of some files in order: whose, which one of the file, how many rows."""

    files: tuple[Path, ...]
    file: np.ndarray  # [G] int64, index into `files`
    number: np.ndarray  # [G] int64, within the file
    rows: np.ndarray  # [G] int64
    columns: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes when a file's name, or what its row groups count, does; not with the folder."""
        names = "\n".join(path.name for path in self.files)
        counts = np.stack([self.file, self.number, self.rows]).astype("<i8").tobytes()
        return blake2b(names.encode() + counts, digest_size=8).hexdigest()


def parquet_files(
    path: str | Path | Sequence[str | Path], split: str | None = None
) -> tuple[Path, ...]:
    """Files that `path` means, in a stable order.

    Parameters
    ----------
    path : a file, several, a folder, an export, or the folder of a finished dataset.
    split : of an export, the files of this split alone. Where it has several, one must be named:
        nobody trains on the test split by leaving a word out.

    Raises
    ------
    DataError
        There is no such file, or no such split.
    """
    if not isinstance(path, str | Path):
        files = [Path(each) for each in path]
    elif (folder := Path(path)).is_dir():
        files = _in_folder(folder, split)
    else:
        files = [Path(path)]
    missing = [str(file) for file in files if not file.is_file()]
    if missing or not files:
        got = repr(missing[0]) if missing else f"{str(path)!r}, where there are none"
        expected = "a place of Parquet files"
        raise DataError(complaint("path", expected=expected, got=got, way_out=_WAY_OUT))
    return tuple(files)


def row_groups(files: Sequence[Path]) -> RowGroups:
    """Read the footers of `files`; raises DataError where their columns differ."""
    file, number, rows = [], [], []
    columns: tuple[str, ...] = ()
    for index, path in enumerate(files):
        with pq.ParquetFile(path) as opened:
            names = tuple(opened.schema_arrow.names)
            if index and names != columns:
                raise DataError(f"{path} has columns {names}, {files[0]} has {columns}.")
            columns = names
            for group in range(opened.num_row_groups):
                file.append(index)
                number.append(group)
                rows.append(opened.metadata.row_group(group).num_rows)
    of_file, in_file, counts = (np.array(values, np.int64) for values in (file, number, rows))
    return RowGroups(tuple(files), of_file, in_file, counts, columns)


def _in_folder(folder: Path, split: str | None) -> list[Path]:
    if (folder / "dataset.json").is_file():
        if split is not None:
            raise DataError(
                f"{folder} holds all splits in the same files. Write them apart with "
                f"`onetrip data export {folder} TARGET`, and stream TARGET."
            )
        return list(open_finished(folder).shards)
    files = sorted(file for file in folder.rglob("*.parquet") if not file.name.startswith("."))
    known = sorted({file.name.partition("-")[0] for file in files})
    if split is None:
        if (folder / "stats.json").is_file() and len(known) > 1:
            expected = f"named where an export has several: {', '.join(known)}"
            way_out = "To stream them all, give the files."
            raise DataError(complaint("split", expected=expected, got="None", way_out=way_out))
        return files
    chosen = [file for file in files if file.name.startswith(f"{split}-")]
    if files and not chosen:
        raise DataError(complaint("split", expected=f"one of {', '.join(known)}", got=repr(split)))
    return chosen
