"""The query language of lists: ``state:done problem:vectoradd ratio:>1.1 -proposer:grid text``."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.units import read_bytes

STATES = (
    "queued",
    "paused",
    "running",
    "done",
    "incorrect",
    "compile_error",
    "crashed",
    "timeout",
    "out_of_memory",
    "hacked",
    "infra_lost",
    "cancelled",
    "pruned",
    "dead",
)
# Names for several states.
GROUPS = {
    "waiting": ("queued", "paused"),
    "failed": ("incorrect", "compile_error", "crashed", "timeout", "out_of_memory", "hacked"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the language.

    `kind` is "choice" (one of `choices`), "name" (a text; `*` stands for anything, and "agent"
    finds "agent:x" and "agent/x"), "number", "bytes" ("4GiB") or "yes" ("yes" or "no").
    """

    kind: str
    help: str
    choices: tuple[str, ...] = ()


FIELDS: Mapping[str, Field] = {
    "state": Field("choice", "done, queued, …, or waiting, failed", (*STATES, *GROUPS)),
    "purpose": Field("choice", "search, confirm, baseline", ("search", "confirm", "baseline")),
    "kind": Field("choice", "of the candidate: config, source", ("config", "source")),
    "problem": Field("name", "name or number of the problem"),
    "proposer": Field("name", "who proposed it"),
    "impl": Field("name", "implementation of a configuration"),
    "title": Field("name", "title of the candidate"),
    "rule": Field("name", "a flag that an attempt carries"),
    "metric": Field("name", "a metric that a run reported"),
    "id": Field("number", "number of the experiment"),
    "hypothesis": Field("number", "number of the hypothesis it tests, or none"),
    "campaign": Field("number", "number of the campaign, or none"),
    "candidate": Field("number", "number of the candidate"),
    "parent": Field("number", "number of the experiment it came from, or none"),
    "priority": Field("number", "what decides the queue's order"),
    "attempts": Field("number", "how many processes tried"),
    "pinned": Field("yes", "stands before all that is not"),
    "champion": Field("yes", "its candidate is the best of its problem"),
    "quarantined": Field("yes", "its times count for nothing"),
    "invalid": Field("yes", "an attempt of it was made invalid"),
    "ratio": Field("number", "time of the baseline over its own"),
    "peer": Field("number", "time of the best peer over its own"),
    "median": Field("number", "median time in ms"),
    "share": Field("number", "floor over median time"),
    "error": Field("number", "largest error over its allowance"),
    "peak": Field("bytes", "peak memory: 4GiB"),
}

_WORD = re.compile(r'(?P<minus>-?)(?:(?P<field>[A-Za-z_]\w*):)?(?P<value>(?:"[^"]*"?|[^\s"])+)')
_BOUND = re.compile(r"(<=|>=|<|>|=)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`; an end that is `open` does not belong to it."""

    low: float = float("-inf")
    high: float = float("inf")
    open: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value lies inside."""
        if self.open:
            return self.low < value < self.high
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Term:
    """One ``field:value``; any one of `values` does. A None among ranges is "none"."""

    field: str
    values: tuple[str | Range | bool | None, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked: terms that must all hold, and words that must all occur (or not)."""

    terms: tuple[Term, ...]
    words: tuple[tuple[str, bool], ...]

    def without(self, field: str) -> "Query":
        """The same query without its terms of one field."""
        return Query(tuple(term for term in self.terms if term.field != field), self.words)


def parse(text: str) -> Query:
    """Read a query.

    Raises
    ------
    ArgumentError
        A field that does not exist, or a value that it does not take.

    Examples
    --------
    >>> query = parse('state:done ratio:>1.1 "split k"')
    >>> [term.field for term in query.terms], query.words
    (['state', 'ratio'], (('split k', False),))
    """
    terms, words = [], []
    for match in _WORD.finditer(text):
        field, value, negated = match["field"], match["value"], bool(match["minus"])
        quoted = value.startswith('"')
        value = value.replace('"', "")
        if field is None and not quoted and value.endswith(":") and value[:-1] in FIELDS:
            raise ArgumentError(_query_complaint(f"a value after {value}", "nothing"))
        if field is None:
            if value:
                words.append((value, negated))
            continue
        if field not in FIELDS:
            raise ArgumentError(_unknown_field(field, match[0]))
        values = tuple(_read(field, piece) for piece in value.split(",") if piece)
        if not values:
            raise ArgumentError(_query_complaint(f"a value after {field}:", "nothing"))
        terms.append(Term(field, values, negated))
    return Query(tuple(terms), tuple(words))


def _read(field: str, text: str) -> str | Range | bool | None:
    kind = FIELDS[field].kind
    if kind == "choice":
        if text not in FIELDS[field].choices:
            expected = f"{field}: one of {', '.join(FIELDS[field].choices)}"
            raise ArgumentError(_query_complaint(expected, repr(text)))
        return text
    if kind == "yes":
        if text not in ("yes", "no"):
            raise ArgumentError(_query_complaint(f"{field}:yes or {field}:no", repr(text)))
        return text == "yes"
    if kind == "name":
        return text
    return None if text == "none" else _range(field, text)


def _range(field: str, text: str) -> Range:
    bytes_too = FIELDS[field].kind == "bytes"
    try:
        low, dots, high = text.partition("..")
        if dots:
            return Range(_number(low, bytes_too), _number(high, bytes_too))
        match = _BOUND.fullmatch(text)
        sign, number = ("", text) if match is None else (match[1] or "=", match[2])
        value = _number(number, bytes_too)
    except ValueError as error:
        expected = f"{field}: a number, as in {field}:>1.1 or {field}:1..2"
        raise ArgumentError(_query_complaint(expected, repr(text))) from error
    if sign in (">", ">="):
        return Range(low=value, open=sign == ">")
    if sign in ("<", "<="):
        return Range(high=value, open=sign == "<")
    return Range(value, value)


def _number(text: str, bytes_too: bool) -> float:
    value = float(read_bytes(text)) if bytes_too else float(text.lstrip("#"))
    if value != value:
        raise ValueError(text)
    return value


def _unknown_field(field: str, word: str) -> str:
    near = difflib.get_close_matches(field.lower(), FIELDS, n=1)
    meant = f"Did you mean {near[0]}:? " if near else ""
    way_out = f'{meant}Put "{word}" in quotes to search for these words.'
    expected = f"made of fields {', '.join(FIELDS)}"
    return complaint("query", expected=expected, got=f"{field}:", way_out=way_out)


def _query_complaint(expected: str, got: str) -> str:
    return complaint("query", expected=expected, got=got)
