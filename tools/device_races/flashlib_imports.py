"""FlashLib as it imports without the packages of its second backend, which is not raced."""

import importlib
import sys
import types
from typing import Any


def _absent(*_args: object, **_options: object) -> None:
    raise RuntimeError("the second backend is not installed")


_SECOND_BACKEND = {
    "flashlib.primitives.kmeans.cutedsl": {"cutedsl_kmeans_Euclid": _absent},
    "flashlib.primitives.knn.cutedsl": {
        "cutedsl_available": lambda: False,
        "cutedsl_flash_knn": _absent,
    },
    "flashlib.primitives.hdbscan.cutedsl": {"cutedsl_hdbscan": _absent},
}


def primitive(name: str) -> Any:
    """The module `flashlib.primitives.<name>`."""
    for backend, attributes in _SECOND_BACKEND.items():
        if backend not in sys.modules:
            module: Any = types.ModuleType(backend)
            module.__path__ = []
            module.__dict__.update(attributes)
            sys.modules[backend] = module
    return importlib.import_module(f"flashlib.primitives.{name}")
