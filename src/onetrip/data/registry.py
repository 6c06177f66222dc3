"""Find steps and sources by name: one exists because a module of its room defines it."""

import difflib
import importlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.sources.source import Source
from onetrip.data.step import Step

Kind = TypeVar("Kind", Step, Source)

_ROOMS = {Step: "onetrip.data.steps", Source: "onetrip.data.sources"}


def find(kind: type[Kind], name: str) -> type[Kind]:
    """The step or source class called `name`, or the class that "package.module:Class" names.

    >>> find(Source, "csv").__name__
    'Csv'
    """
    if ":" in name:
        return _own_class(kind, name)
    _import_room(_ROOMS[kind], only=((name,), (name, kind.__name__.lower())))
    if name not in (known := _known(kind)):
        _import_room(_ROOMS[kind])
        known = _known(kind)
    if name not in known:
        word = kind.__name__.lower()
        raise ArgumentError(
            complaint(
                word,
                expected=f"one of {', '.join(sorted(known))}",
                got=repr(name),
                way_out=_nearest(name, known) or f"Your own: package.module:{kind.__name__}Class.",
            )
        )
    return known[name]


def known(kind: type[Kind]) -> Mapping[str, type[Kind]]:
    """All steps, or all sources, of the library by name.

    >>> "filter" in known(Step)
    True
    """
    _import_room(_ROOMS[kind])
    return dict(sorted(_known(kind).items()))


def make(kind: type[Kind], name: str, parameters: Mapping[str, object]) -> Kind:
    """An instance of the step or source `name`; unknown parameters and wrong types are refused.

    Lists become tuples, so that what comes out can be hashed.
    """
    found = find(kind, name)
    allowed = {field.name: field for field in fields(found)}
    hints = typing.get_type_hints(found)
    values = {key: _frozen(value) for key, value in parameters.items()}
    for key, value in values.items():
        if key not in allowed:
            expected = f"one of {', '.join(allowed)}" if allowed else "left out: there are none"
            raise ArgumentError(
                complaint(
                    f"{name}: {key}",
                    expected=expected,
                    got=repr(parameters[key]),
                    way_out=_nearest(key, allowed),
                )
            )
        if not _fits(value, hints[key]):
            expected = f"a value of type {_type_text(hints[key])}"
            raise ArgumentError(
                complaint(f"{name}: {key}", expected=expected, got=repr(parameters[key]))
            )
    return found(**values)


def _own_class(kind: type[Kind], name: str) -> type[Kind]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        expected = "package.module:Class that can be imported"
        raise ArgumentError(
            complaint(kind.__name__.lower(), expected=expected, got=repr(name))
        ) from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        expected = f"a class derived from {kind.__module__}.{kind.__name__}"
        raise ArgumentError(complaint(name, expected=expected, got=repr(found)))
    return found


def _import_room(room: str, only: Sequence[tuple[str, ...]] = ((),)) -> None:
    """Import the modules of a room, those whose path ends so."""
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, f"{room}."):
        words = tuple(module.name.removeprefix(f"{room}.").split("."))
        fits = any(words[len(words) - len(end) :] == end for end in only)
        if fits and module.name not in sys.modules:
            importlib.import_module(module.name)


def _known(kind: type[Kind]) -> dict[str, type[Kind]]:
    return {
        found.name: found
        for found in _subclasses(kind)
        if not inspect.isabstract(found)
        and "name" in vars(found)
        and found.__module__.startswith("onetrip.")
    }


def _subclasses(kind: type) -> list[type]:
    direct = kind.__subclasses__()
    return [*direct, *(deeper for subclass in direct for deeper in _subclasses(subclass))]


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _fits(value: object, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if hint is Any or hint is object:
        return True
    if origin in (typing.Union, UnionType):
        return any(_fits(value, choice) for choice in typing.get_args(hint))
    if origin is Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is tuple:
        arguments = typing.get_args(hint)
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    plain = origin or hint
    return isinstance(value, plain) if isinstance(plain, type) else True


def _type_text(hint: Any) -> str:
    if hint is NoneType:
        return "null"
    if typing.get_origin(hint) is tuple:
        return f"list of {_type_text(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return " or ".join(map(_type_text, typing.get_args(hint)))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _nearest(name: str, names: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
