"""Comma-separated files, plain or gzip, of any columns."""

from dataclasses import dataclass
from typing import ClassVar

from onetrip.data.sources.delimited import Delimited


@dataclass(frozen=True)
class Csv(Delimited):
    """Comma-separated files with a header line; `Delimited` tells the rest.

    Parameters
    ----------
    columns : names of the columns to read. Default: all of the first unit that has a header.
    """

    name: ClassVar[str] = "csv"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "Comma-separated files with a header, plain or gzip."

    delimiter: ClassVar[str] = ","
    patterns: ClassVar[tuple[str, ...]] = ("*.csv", "*.csv.gz")
