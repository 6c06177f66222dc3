"""Errors that a user can cause, all built from one template.

OnetripError
├── ShapeError              (ValueError)   an argument has the wrong shape
├── DtypeError              (TypeError)    an argument has the wrong dtype
├── ArgumentError           (ValueError)   an argument has a value that is not allowed
├── UnsupportedError        (ValueError)   this implementation cannot run this problem here
├── DataError               (ValueError)   a file or a record is not what it should be
└── MissingDependencyError  (ImportError)  an optional package is not installed
"""

import importlib
from types import ModuleType


class OnetripError(Exception):
    """Base of every error that onetrip raises on purpose."""


class ShapeError(OnetripError, ValueError):
    """An argument has the wrong shape."""


class DtypeError(OnetripError, TypeError):
    """An argument has the wrong dtype."""


class ArgumentError(OnetripError, ValueError):
    """An argument has a value that is not allowed."""


class UnsupportedError(OnetripError, ValueError):
    """The chosen implementation cannot run this problem on this device."""


class DataError(OnetripError, ValueError):
    """A file or a record is not what it should be."""


class MissingDependencyError(OnetripError, ImportError):
    """An optional package is not installed."""


def complaint(argument: str, *, expected: str, got: object, way_out: str = "") -> str:
    """Say what is wrong with one argument: which, what was expected, what came, the way out.

    >>> complaint("softcap", expected="a positive float or None", got=-1.0)
    '`softcap` must be a positive float or None, got -1.0.'
    """
    sentence = f"`{argument}` must be {expected}, got {got}."
    return f"{sentence} {way_out}" if way_out else sentence


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional `module`, or say which command brings it.

    >>> require("json", extra="lab", purpose="to read").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingDependencyError(
            f"{purpose} needs the package `{error.name}`, which is not installed. "
            f"Install it with: pip install 'onetrip[{extra}]'"
        ) from error
