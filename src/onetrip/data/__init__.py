"""Datasets larger than memory: sources, steps, quarantine, streaming; knows no operator.

A name is imported at its first use.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onetrip.data.engine.run import run as run
    from onetrip.data.streaming.training import stream as stream
    from onetrip.data.text.complexity import complexity as complexity

_PUBLIC = {
    "complexity": "onetrip.data.text.complexity",
    "run": "onetrip.data.engine.run",
    "stream": "onetrip.data.streaming.training",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> object:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'onetrip.data' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
