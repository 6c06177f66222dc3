"""What a source is: it finds units, and reads one as record batches in bounded memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pyarrow as pa

from onetrip.core.errors import DataError
from onetrip.data.reject import Reject

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Unit:
    """One file that is read whole, as one task or as a part of a bundle of small ones.

    `unit_id` is its path below the folder of the source, with forward slashes: unique, stable and
    never used as a path to write to. `bytes` is what is read from disk; `stamp` changes when the
    file does (size and modification time, or a digest).
    """

    unit_id: str
    path: Path
    bytes: int
    stamp: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier run knew of a unit: its stamp, and what stands for its content."""

    stamp: str
    content: str


@dataclass(frozen=True, slots=True)
class Read:
    """One batch of a unit: its rows, what was set aside between them, how far the file is read.

    A reject with a line stands for one row, one at line 0 is a remark on the unit and counts as no
    row. `position` counts compressed bytes read so far, for progress; `lines` the decompressed
    lines behind us (the head of the file too), so that a later run can go on there, 0 where it
    cannot; `counts` anything worth telling.
    """

    batch: pa.RecordBatch
    rejects: Sequence[Reject] = ()
    position: int = 0
    lines: int = 0
    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


class UnitError(DataError):
    """A unit that cannot be read (on): `code` of `onetrip.data.codes`, and what to do.

    Nothing of the unit is kept, unless it is `salvaged`: then what was yielded before stays, and
    the unit counts as partial.
    """

    def __init__(
        self, code: str, message: str, *, line: int = 0, raw: str = "", salvaged: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.line, self.raw, self.salvaged = code, line, raw, salvaged


@dataclass(frozen=True)
class Source(ABC):
    """A kind of input with its options: the fields of the dataclass that derives from this.

    `name` is what a recipe calls it; `version` grows whenever the same file could give other rows.
    `lines_above` are the lines of a unit above its row 1: row n begins in line n + `lines_above`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    summary: ClassVar[str]
    lines_above: ClassVar[int] = 0

    @abstractmethod
    def find(self, location: Path) -> Sequence[Unit]:
        """Units below `location`, in a stable order. Raises DataError when there is none."""

    def resolve(self, units: Sequence[Unit]) -> "Source":
        """The source with what its options leave open taken from the units; by default itself."""
        return self

    def compare(self, units: Sequence[Unit], before: Mapping[str, Kept]) -> Sequence[Reject]:
        """What is odd about units beside each other, and beside those of the run before.

        Remarks at line 0: nothing is set aside. By default there is nothing to say.
        """
        return ()

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns of every batch, whatever vintage a unit has."""

    @abstractmethod
    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        """Read a unit in bounded memory; go on behind `skip_lines` lines where that is not 0.

        These lines held `skip_rows` rows, kept and rejected, so that numbers of rows go on too.
        Raises UnitError where the unit cannot be read on.
        """
