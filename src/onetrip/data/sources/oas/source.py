"""The source `oas`: units of the Observed Antibody Space, whatever their vintage and condition."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import pyarrow as pa

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.data.reject import Reject
from onetrip.data.sources.folder import content_of, find_units, opened
from onetrip.data.sources.oas.columns import Layout, wanted_columns
from onetrip.data.sources.oas.header import layout_of, parse_header
from onetrip.data.sources.oas.inflate import Inflated
from onetrip.data.sources.oas.lines import LINE_BYTES, Lines
from onetrip.data.sources.oas.metadata import (
    META_COLUMNS,
    assumed_metadata,
    is_header,
    parse_metadata,
)
from onetrip.data.sources.oas.reading import LINES_ABOVE_ROWS, Reading
from onetrip.data.sources.oas.twins import twin_remarks
from onetrip.data.sources.source import Kept, Read, Source, Unit, UnitError

# The second: what wget calls a file whose name is there already, from another study.
_PATTERNS = ("*.csv.gz", "*.csv.gz.[0-9]")
# Somebody inflated it. It is told (U01), where its first line says that it is a unit.
_INFLATED = "*.csv"


@dataclass(frozen=True)
class Oas(Source):
    """Data units of the Observed Antibody Space: gzipped CSV under one line of metadata.

    All values come as strings, under the names of the header; `standardise` gives them types.
    Beside them stand `unit_id`, `row_in_unit` (line 3 of the text is row 1) and the metadata as
    `meta_*`. What a vintage does not have is null.

    Parameters
    ----------
    columns : "default" (26 columns, what the steps read), "all", or a list of names of the header;
        for pairs without the suffix of a chain, or with it.
    layout : "unpaired", "paired", or "auto": that of the first unit that can be read.
    salvage : of a unit that breaks off or is damaged, keep the rows before the damage, and call it
        partial. Otherwise nothing of it is kept.
    assume_metadata : for units without line 1, what it would say: "Species=human", "Chain=Heavy".
    """

    name: ClassVar[str] = "oas"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Observed Antibody Space: unpaired and paired units of any vintage."
    lines_above: ClassVar[int] = LINES_ABOVE_ROWS

    columns: str | tuple[str, ...] = "default"
    layout: Literal["auto", "unpaired", "paired"] = "auto"
    salvage: bool = False
    assume_metadata: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assumed_metadata(self.assume_metadata)
        wanted_columns(self.columns, self._layout)

    @property
    def _layout(self) -> Layout:
        return "unpaired" if self.layout == "auto" else self.layout

    def find(self, location: Path) -> Sequence[Unit]:
        """Units below a folder; below one that holds both subsets, those of the layout."""
        subsets = [name for name in ("unpaired", "paired") if (location / name).is_dir()]
        if len(subsets) == 2 and self.layout == "auto":
            expected = 'stated ("unpaired" or "paired") where a folder holds both'
            way_out = f"Or name one of them as input: {location / 'unpaired'}."
            raise ArgumentError(
                complaint("oas: layout", expected=expected, got=repr("auto"), way_out=way_out)
            )
        found = find_units(location, (*_PATTERNS, _INFLATED))
        units = [unit for unit in found if not _is_other_table(unit)]
        if len(subsets) == 2:
            units = [unit for unit in units if unit.unit_id.startswith(f"{self.layout}/")]
        if not units:
            expected = f"a folder with units (*.csv.gz) of the {self.layout} layout"
            raise DataError(complaint("input", expected=expected, got=repr(str(location))))
        return tuple(units)

    def resolve(self, units: Sequence[Unit]) -> Self:
        """With the layout of the first unit that can be read."""
        if self.layout != "auto":
            return self
        layouts = (_layout_of(unit) for unit in units)
        return replace(self, layout=next((one for one in layouts if one), "unpaired"))

    def compare(self, units: Sequence[Unit], before: Mapping[str, Kept]) -> Sequence[Reject]:
        """U15: units of one file name or content, and those that took the place of another."""
        return twin_remarks(units, before, content_of)

    def schema(self) -> pa.Schema:
        """Provenance, metadata, then the columns, all but `row_in_unit` as strings."""
        names = (*META_COLUMNS.values(), *wanted_columns(self.columns, self._layout))
        provenance = [("unit_id", pa.string()), ("row_in_unit", pa.int64())]
        return pa.schema([*provenance, *((name, pa.string()) for name in names)])

    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        """Read a unit in bounded memory, chunk by chunk."""
        wanted = wanted_columns(self.columns, self._layout)
        reading = Reading(unit, self.schema(), wanted, self._layout, self.assume_metadata)
        read = reading.read_to_the_damage if self.salvage else reading.read
        yield from read(skip_lines, skip_rows)


def _is_other_table(unit: Unit) -> bool:
    """Whether a file that ends in .csv is none of a unit's text."""
    if not unit.path.name.lower().endswith(".csv"):
        return False
    try:
        with opened(unit.path) as file:
            parse_metadata(file.readline(LINE_BYTES))
    except UnitError as error:
        return error.code != "U18"
    return False


def _layout_of(unit: Unit) -> Layout | None:
    lines = Lines(Inflated(unit.path).fill)
    try:
        first = lines.readline().decode("utf-8", "replace")
        header = first.encode() if is_header(first) else lines.readline()
        return layout_of(parse_header(header))
    except UnitError:
        return None
