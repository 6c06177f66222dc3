"""Rearrangements in the format of the AIRR Community: tab-separated, named columns."""

from dataclasses import dataclass
from typing import ClassVar

from onetrip.data.sources.delimited import Delimited


@dataclass(frozen=True)
class Airr(Delimited):
    """AIRR Rearrangement tables (schema 1.x), with a header line; `Delimited` tells the rest.

    Parameters
    ----------
    columns : names of the columns to read. Default: all of the first unit that has a header.
    """

    name: ClassVar[str] = "airr"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "AIRR Rearrangement tables (TSV), plain or gzip."

    delimiter: ClassVar[str] = "\t"
    patterns: ClassVar[tuple[str, ...]] = ("*.tsv", "*.tsv.gz")
