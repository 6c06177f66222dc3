"""What is wrong with units in the wild, made on purpose, and the code that each defect earns."""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from onetrip.data.sources.oas.synthetic.unit import gzip_into, metadata_line, unit_parts

_PAGE = b"<!DOCTYPE html>\n<html><body><h1>503 Service Unavailable</h1></body></html>\n"


@dataclass(frozen=True, slots=True)
class Text:
    """A unit as text: line 1, the header, the rows; every line with its end."""

    metadata: bytes
    header: bytes
    rows: tuple[bytes, ...]

    def compressed(self) -> bytes:
        """The unit as a gzip file."""
        return compress(self.metadata + self.header + b"".join(self.rows))


@dataclass(frozen=True, slots=True)
class Defect:
    """A way in which a unit is broken.

    `code` is what it earns, "" where it is read as if nothing were; `lost` the rows that are set
    aside of a unit that is read, None where nothing of the unit is kept.
    """

    name: str
    code: str
    lost: int | None
    spoil: Callable[[Text, int], bytes]


def compress(text: bytes) -> bytes:
    """Text as one gzip member."""
    file = io.BytesIO()
    with gzip_into(file) as member:
        member.write(text)
    return file.getvalue()


def unit_text(rows: int, seed: int, schema: str = "unpaired") -> Text:
    """A whole unit as text."""
    head, *blocks = unit_parts(rows, seed=seed, schema=schema)
    metadata, header = head.splitlines(keepends=True)
    return Text(metadata, header, tuple(b"".join(blocks).splitlines(keepends=True)))


def spoilt(name: str, rows: int, seed: int) -> bytes:
    """The bytes of a unit with one defect, in a row that `seed` draws where it is one of a row.

    >>> spoilt("html_page", rows=3, seed=0)[:14]
    b'<!DOCTYPE html'
    """
    row = int(np.random.default_rng(seed).integers(rows))
    return DEFECTS[name].spoil(unit_text(rows, seed), row)


def _in_row(change: Callable[[bytes], bytes]) -> Callable[[Text, int], bytes]:
    def spoil(text: Text, row: int) -> bytes:
        rows = list(text.rows)
        rows[row] = change(rows[row])
        return replace(text, rows=tuple(rows)).compressed()

    return spoil


def _in_metadata(**facts: object) -> Callable[[Text, int], bytes]:
    """Line 1 with other facts; None takes one out."""

    def spoil(text: Text, row: int) -> bytes:
        changed = metadata_of(text) | facts
        line = metadata_line({key: value for key, value in changed.items() if value is not None})
        return replace(text, metadata=line).compressed()

    return spoil


def metadata_of(text: Text) -> dict[str, object]:
    """What line 1 says."""
    return json.loads(text.metadata.decode().strip()[1:-1].replace('""', '"'))


def _with_head(change: Callable[[Text], Text]) -> Callable[[Text, int], bytes]:
    return lambda text, row: change(text).compressed()


def _of_bytes(change: Callable[[bytes], bytes]) -> Callable[[Text, int], bytes]:
    return lambda text, row: change(text.compressed())


def _replaced(values: dict[int, bytes]) -> Callable[[bytes], bytes]:
    """Other values in some columns; all of them stand before the first quote of a row."""

    def change(row: bytes) -> bytes:
        fields = row.split(b",", max(values) + 1)
        for place, value in values.items():
            fields[place] = value
        return b",".join(fields)

    return change


def _with_redundancy(row: bytes) -> bytes:
    """A word where the copies are counted: the value before the numbering, which is quoted."""
    before, numbering, after = row.partition(b',"{')
    return before.rpartition(b",")[0] + b",abc" + numbering + after


def _legacy(text: Text) -> Text:
    rows = tuple(b'{"seq": "EVQLVESGG", "num": "1"}\n' for _ in text.rows)
    return Text(b'{"Species": "human", "Chain": "Heavy"}\n', rows[0], rows[1:])


def _without_column(text: Text) -> Text:
    return replace(text, header=text.header.replace(b",v_call,", b",v_gene_call,"))


def _corrupt(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 64]) + data[
        middle + 64 :
    ]  # fmt: skip


_LOCUS, _SEQUENCE = 1, 0

_DEFECTS = (
    Defect("short_row", "R01", 1, _in_row(lambda row: row.split(b",", 7)[-1])),
    Defect("long_row", "R01", 1, _in_row(lambda row: b"T,T," + row)),
    Defect("stray_quote", "R02", 1, _in_row(lambda row: row.replace(b",", b'",', 1))),
    Defect("open_quote", "R02", 1, _in_row(lambda row: b'"' + row)),
    Defect("bad_utf8", "R03", 1, _in_row(_replaced({_SEQUENCE: b"ACGT\xff"}))),
    Defect("nul_byte", "R04", 1, _in_row(_replaced({_SEQUENCE: b"AC\0GT"}))),
    Defect("bad_number", "R05", 0, _in_row(_with_redundancy)),
    Defect("wrong_locus", "U16", 0, _in_row(_replaced({_LOCUS: b"K"}))),
    Defect("blank_line", "", 0, _in_row(lambda row: b"\n" + row)),
    Defect("quoted_newline", "", 0, _in_row(lambda row: b'"A\nC",' + row.split(b",", 1)[1])),
    Defect("not_gzip", "U01", None, lambda text, row: b"".join((text.metadata, text.header))),
    Defect("html_page", "U02", None, lambda text, row: _PAGE),
    Defect("html_in_gzip", "U02", None, lambda text, row: compress(_PAGE)),
    Defect("empty", "U03", None, lambda text, row: b""),
    Defect("empty_gzip", "U03", None, lambda text, row: compress(b"")),
    Defect("truncated_gzip", "U04", None, _of_bytes(lambda data: data[: len(data) * 2 // 3])),
    Defect("corrupt_gzip", "U05", None, _of_bytes(_corrupt)),
    Defect("wrong_checksum", "U05", None, _of_bytes(lambda d: d[:-8] + b"\1\2\3\4" + d[-4:])),
    Defect("trailing_garbage", "U06", 0, _of_bytes(lambda data: data + b"--boundary--\r\n")),
    Defect("missing_json", "U07", None, _with_head(lambda text: replace(text, metadata=b""))),
    Defect("bad_json", "U08", None,
           _with_head(lambda text: replace(text, metadata=text.metadata[:40] + b"\n"))),
    Defect("bare_json", "", 0,
           _with_head(lambda t: replace(t, metadata=json.dumps(metadata_of(t)).encode() + b"\n"))),
    Defect("no_species", "U09", 0, _in_metadata(Species=None)),
    Defect("missing_column", "U10", None, _with_head(_without_column)),
    Defect("other_table", "U11", None,
           _with_head(lambda text: replace(text, header=b"sequence_id,clone_id,locus\n"))),
    Defect("column_twice", "U12", None,
           _with_head(lambda t: replace(t, header=t.header.replace(b"v_call", b"d_call")))),
    Defect("legacy_json", "U13", None, _with_head(_legacy)),
    Defect("wrong_count", "U14", 0, _in_metadata(**{"Unique sequences": 10_000_000})),
    Defect("wrong_chain", "U16", 0, _in_metadata(Chain="Light")),
    Defect("endless_line", "U17", None,
           lambda text, row: compress(text.metadata + text.header + b"A" * (17 << 20))),
)  # fmt: skip

DEFECTS: dict[str, Defect] = {defect.name: defect for defect in _DEFECTS}
"""Every defect by its name. A duplicate (U15) takes two files: a folder has it, not a unit."""


def multi_member(text: Text, members: int) -> bytes:
    """The unit as several gzip members behind each other, cut anywhere."""
    whole = gzip.decompress(text.compressed())
    size = -(-len(whole) // members)
    return b"".join(compress(whole[at : at + size]) for at in range(0, len(whole), size))
