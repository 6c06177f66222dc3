"""Leave out rows by rule; each rule counts what it left out."""

import hashlib
import importlib
import json
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.data.step import Applied, BatchStep

_COMPARE: Mapping[str, Callable[..., pa.Array]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    ">=": pc.greater_equal,
    "<=": pc.less_equal,
    ">": pc.greater,
    "<": pc.less,
}
_RULE = re.compile(r"^\s*(?P<column>\w+)\s*(?P<operator>==|!=|>=|<=|>|<)\s*(?P<value>.+?)\s*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name in the counts, what it keeps, why, and who published it.

    `keep` answers true, false or null for each row of a batch, and null is a no. `columns` are
    those that it reads.
    """

    name: str
    keep: Callable[[pa.RecordBatch], pa.Array | pa.ChunkedArray]
    columns: tuple[str, ...]
    reason: str = ""
    source: str = ""


# What a module `presets` of this room offers under `PRESETS`: rules for the columns at hand.
Preset = Callable[[pa.Schema], Sequence[Rule]]


def keep_by_rules(batch: pa.RecordBatch, rules: Sequence[Rule]) -> Applied:
    """Keep the rows that every rule says yes to.

    A row is dropped under the first rule that refuses it; how many rows each rule refuses,
    whatever the others say, stands in the counts as "<rule> (any)".
    """
    dropped: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    keep: pa.Array | pa.ChunkedArray | None = None
    left = batch.num_rows
    for rule in rules:
        passed = pc.fill_null(rule.keep(batch), False)
        if refused := batch.num_rows - (pc.sum(passed).as_py() or 0):
            counts[f"{rule.name} (any)"] = refused
        keep = passed if keep is None else pc.and_(keep, passed)
        still = pc.sum(keep).as_py() or 0
        if left > still:
            dropped[rule.name] = left - still
        left = still
    kept = batch if keep is None or not dropped else batch.filter(keep)
    return Applied(kept, (), dropped, counts)


def presets() -> Mapping[str, Preset]:
    """All presets by name, of every module called `presets` among the steps."""
    room = importlib.import_module("onetrip.data.steps")
    found: dict[str, Preset] = {}
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if module.name.endswith(".presets"):
            found.update(importlib.import_module(module.name).PRESETS)
    return found


@dataclass(frozen=True)
class Filter(BatchStep):
    """Keep the rows that fit every rule; a row whose column is null does not fit.

    Parameters
    ----------
    where : tuple of str
        Rules as "column operator value"; operators ==, !=, >=, <=, >, <; the value is read as
        the column's type.
    preset : str
        Name of a published set of rules, applied before `where`. Default: none.
    """

    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Leave out rows by rule, and count them by rule."

    where: tuple[str, ...] = ()
    preset: str = ""

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """What comes in goes out."""
        for rule in self._rules(upstream):
            missing = [name for name in rule.columns if name not in upstream.names]
            if missing:
                raise DataError(
                    f"Rule `{rule.name}` of `filter` reads the columns {missing}, which are not "
                    f"there: {', '.join(upstream.names)}."
                )
        return upstream

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Drop the rows that a rule refuses."""
        return keep_by_rules(batch, self._rules(batch.schema))

    def fingerprint(self, upstream_key: str, upstream: pa.Schema) -> str:
        """Key of the cache; what a preset's rules say of themselves is part of it."""
        key = super().fingerprint(upstream_key, upstream)
        rules = [[rule.name, rule.reason, rule.source] for rule in self._rules(upstream)]
        return hashlib.sha256(json.dumps([key, rules]).encode()).hexdigest()

    def _rules(self, schema: pa.Schema) -> tuple[Rule, ...]:
        published = _preset(self.preset)(schema) if self.preset else ()
        return (*published, *(_rule(text, schema) for text in self.where))


@cache
def _preset(name: str) -> Preset:
    known = presets()
    if name not in known:
        expected = f"one of {', '.join(sorted(known))}"
        raise ArgumentError(complaint("filter: preset", expected=expected, got=repr(name)))
    return known[name]


def _rule(text: str, schema: pa.Schema) -> Rule:
    match = _RULE.match(text)
    if not match:
        expected = "rules like 'cdr3_length > 4'"
        raise ArgumentError(complaint("filter: where", expected=expected, got=repr(text)))
    column, compare = match["column"], _COMPARE[match["operator"]]
    if column not in schema.names:
        expected = f"rules on columns that are there: {', '.join(schema.names)}"
        raise DataError(complaint("filter: where", expected=expected, got=repr(text)))
    kind = schema.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    try:
        value = pa.scalar(match["value"].strip("'\"")).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        expected = f"a value that column {column} of type {kind} can have"
        raise ArgumentError(
            complaint("filter: where", expected=expected, got=repr(text))
        ) from error
    return Rule(text, lambda batch: compare(batch.column(column), value), (column,))
