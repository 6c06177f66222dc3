"""Steps and sources described by what they declare: for help texts and generated pages."""

import inspect
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields

from onetrip.core.errors import ArgumentError
from onetrip.data.registry import find, known
from onetrip.data.sources.source import Source
from onetrip.data.step import BatchStep, DatasetStep, ExchangeStep, LearnStep, Step

_KINDS = (
    (Source, "source"),
    (BatchStep, "batch"),
    (ExchangeStep, "exchange"),
    (DatasetStep, "dataset"),
    (LearnStep, "learn"),
)


@dataclass(frozen=True, slots=True)
class Described:
    """What a step or source says of itself; `parameters` by name with their defaults."""

    name: str
    kind: str
    version: int
    summary: str
    help: str
    parameters: dict[str, str]


def described() -> Sequence[Described]:
    """All sources, then all steps.

    >>> [kind.name for kind in described() if kind.kind == "source"][0]
    'airr'
    """
    return [
        *(_described(source) for source in known(Source).values()),
        *(_described(step) for step in known(Step).values()),
    ]


def describe(name: str) -> Described:
    """The step, or else the source, of this name.

    >>> describe("filter").kind
    'batch'
    """
    if name in known(Source):
        return _described(find(Source, name))
    try:
        return _described(find(Step, name))
    except ArgumentError as error:
        raise ArgumentError(f"{error} Sources: {', '.join(known(Source))}.") from error


def _described(found: type[Step] | type[Source]) -> Described:
    kind = next(word for base, word in _KINDS if issubclass(found, base))
    parameters = {
        field.name: repr(field.default) if field.default is not MISSING else "required"
        for field in fields(found)
    }
    help = inspect.getdoc(found) or ""
    return Described(found.name, kind, found.version, found.summary, help, parameters)
