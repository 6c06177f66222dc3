"""torch.nn modules over onetrip's operators; a name is imported at its first use."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onetrip.nn.linear_cross_entropy import LinearCrossEntropyLoss as LinearCrossEntropyLoss

_PUBLIC = {"LinearCrossEntropyLoss": "onetrip.nn.linear_cross_entropy"}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> object:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'onetrip.nn' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
