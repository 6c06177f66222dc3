"""Line 1 of a unit: its metadata as JSON, written as one quoted field of a CSV."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.codes import explained
from onetrip.data.sources.oas.columns import PAIRED_2021, UNPAIRED
from onetrip.data.sources.oas.inflate import is_web_page
from onetrip.data.sources.source import UnitError

# Key of line 1 -> column. Numbers of rows are no property of a row.
META_COLUMNS: Mapping[str, str] = {
    key: f"meta_{key.lower()}"
    for key in (
        *("Run", "Author", "Species", "BSource", "BType", "Longitudinal", "Age", "Disease"),
        *("Subject", "Vaccine", "Chain", "Isotype"),
    )
}
# What nothing can be filtered or split by when it is missing.
_NEEDED = ("Species", "Chain")
# In 2021 some units called it so.
_OLD_NAMES = {"Organism": "Species"}
_RAW_CHARACTERS = 1000
_KNOWN_COLUMNS = frozenset(UNPAIRED) | frozenset(PAIRED_2021)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What line 1 says: values as they stand there, by key; `missing` needed keys.

    `rows` is how many rows it promises, None where it does not say.
    """

    values: Mapping[str, str | None]
    missing: tuple[str, ...]
    rows: int | None


def parse_metadata(line: bytes) -> Metadata:
    r"""Read line 1.

    Raises
    ------
    UnitError
        U02 a web page, U03 nothing, U07 the header stands here, U08 no JSON.

    >>> parse_metadata(b'"{""Species"": ""human"", ""Chain"": ""Heavy""}"\n').values["Species"]
    'human'
    """
    text = line.decode("utf-8-sig", "backslashreplace").strip()
    raw = text[:_RAW_CHARACTERS]
    if not text:
        raise UnitError("U03", explained("U03", "Line 1 is empty."), line=1)
    if is_web_page(line):
        raise UnitError("U02", explained("U02", ""), line=1, raw=raw)
    if is_header(text):
        raise UnitError("U07", explained("U07", ""), line=1, raw=raw)
    try:
        facts = json.loads(_unquoted(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnitError("U08", explained("U08", f"{error}."), line=1, raw=raw) from error
    if not isinstance(facts, dict):
        kind = type(facts).__name__
        raise UnitError("U08", explained("U08", f"It is a {kind}, no object."), line=1, raw=raw)
    return _metadata(facts)


def assumed_metadata(pairs: Sequence[str]) -> Metadata:
    """Metadata that somebody states: "Species=human", "Chain=Heavy"."""
    facts = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in META_COLUMNS:
            expected = f"Key=value with a key of {', '.join(META_COLUMNS)}"
            raise ArgumentError(complaint("oas: assume_metadata", expected=expected, got=pair))
        facts[key] = value
    return _metadata(facts)


def is_header(text: str) -> bool:
    """Whether a line is the header of a unit: two names of columns are proof enough."""
    return len(_KNOWN_COLUMNS.intersection(name.strip('"') for name in text.split(","))) > 1


def _unquoted(text: str) -> str:
    """The JSON inside the field; some units have it bare."""
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return text[1:-1].replace('""', '"')
    return text


def _metadata(facts: Mapping[str, object]) -> Metadata:
    facts = {_OLD_NAMES.get(key, key): value for key, value in facts.items()} | dict(facts)
    values = {key: None if facts.get(key) is None else str(facts[key]) for key in META_COLUMNS}
    promised = facts.get("Unique sequences")
    return Metadata(
        values=values,
        missing=tuple(key for key in _NEEDED if not (values[key] or "").strip()),
        rows=int(str(promised)) if str(promised).isdecimal() else None,
    )
