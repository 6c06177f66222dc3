"""Rows taken apart one by one, where a chunk holds anything out of the ordinary.

Slow, and exact: a row is good when it is well-formed CSV of the right number of fields. A value
may hold line breaks inside quotes; a quote that is never closed costs its own line and no other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_VALUE = rb'(?:"(?:[^"]|"")*+"|[^",\r\n]*+)'
_ROW = re.compile(rb"%b(?:,%b)*+" % (_VALUE, _VALUE))
_VALUES = re.compile(rb'(?:\A|,)(?:"((?:[^"]|"")*+)"|([^",\r\n]*+))')
# A row with more line breaks inside its quotes is a quote that was never closed.
_JOINED_LINES = 16
_OPEN_BYTES = 1 << 20


@dataclass(slots=True)
class Found:
    """What a chunk holds.

    `rows` are values of the wanted columns with the number of their first line; `faults` line
    number, code, column, message and text; `rest` lines at the end that belong to the next chunk.
    """

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    faults: list[tuple[int, str, str, str, bytes]] = field(default_factory=list)
    blank_lines: int = 0
    rest: bytes = b""


def read_carefully(
    chunk: bytes, names: Sequence[str], wanted: Sequence[str], line: int, *, last: bool
) -> Found:
    """Take a chunk of whole lines apart.

    Parameters
    ----------
    chunk : the lines; the end of the last one may be missing.
    names, wanted : all columns of the header, and those whose values are kept.
    line : number of the first line.
    last : whether nothing follows, so that a quote which is open at the end stays open.
    """
    places = [names.index(name) for name in wanted]
    lines = chunk.split(b"\n")
    if not lines[-1]:
        lines.pop()
    found, at = Found(), 0
    while at < len(lines):
        text = lines[at].removesuffix(b"\r")
        taken = 1
        if not text:
            found.blank_lines += 1
        elif b"\0" in text:
            place = text.index(b"\0")
            found.faults.append((line + at, "R04", "", f"A NUL byte at byte {place}.", text))
        elif _ROW.fullmatch(text):
            _enter(found, text, line + at, names, places)
        else:
            taken = _closed_within(lines[at : at + _JOINED_LINES], len(names))
            if taken:
                joined = b"\n".join(lines[at : at + taken]).removesuffix(b"\r")
                _enter(found, joined, line + at, names, places)
            elif not last and _is_open(lines, at):
                found.rest = b"\n".join(lines[at:]) + b"\n"
                return found
            else:
                message = "A quote inside a value, or one that is never closed."
                found.faults.append((line + at, "R02", "", message, text))
                taken = 1
        at += taken
    return found


def _enter(
    found: Found, text: bytes, line: int, names: Sequence[str], places: Sequence[int]
) -> None:
    values = _values(text)
    if len(values) != len(names):
        message = f"{len(names)} fields expected, {len(values)} found."
        found.faults.append((line, "R01", "", message, text))
        return
    row = []
    for place in places:
        try:
            row.append(values[place].decode())
        except UnicodeDecodeError as error:
            message = f"Byte {error.start} of the value is no UTF-8."
            found.faults.append((line, "R03", names[place], message, text))
            return
    found.rows.append((line, row))


def _values(text: bytes) -> list[bytes]:
    """Values of a row that is well-formed."""
    return [
        match[2] if match[1] is None else match[1].replace(b'""', b'"')
        for match in _VALUES.finditer(text)
    ]


def _closed_within(lines: Sequence[bytes], fields: int) -> int:
    """How many lines make one well-formed row; 0 where none do."""
    joined = lines[0]
    for taken, line in enumerate(lines[1:], 2):
        joined += b"\n" + line
        text = joined.removesuffix(b"\r")
        if b"\0" not in text and _ROW.fullmatch(text) and len(_values(text)) == fields:
            return taken
    return 0


def _is_open(lines: Sequence[bytes], at: int) -> bool:
    """Whether the next chunk may close what is open here."""
    there = lines[at:]
    return (
        len(there) < _JOINED_LINES
        and sum(map(len, there)) < _OPEN_BYTES
        and sum(text.count(b'"') for text in there) % 2 == 1
    )
