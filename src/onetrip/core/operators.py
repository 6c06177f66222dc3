"""Find operators: an operator exists because its folder in `onetrip/ops` has a `spec.py`."""

import difflib
import functools
import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.spec import OperatorSpec
from onetrip.core.workload import Workload

_OPS_DIR = Path(__file__).resolve().parent.parent / "ops"


@functools.cache
def operator_names() -> tuple[str, ...]:
    """Names of all operators, sorted.

    >>> "linear_cross_entropy" in operator_names()
    True
    """
    return tuple(sorted(path.parent.name for path in _OPS_DIR.glob("*/spec.py")))


@functools.cache
def operator_module(name: str, part: str) -> ModuleType:
    """Import ``onetrip.ops.<name>.<part>``; `part` is "spec", "cost", "workloads", "select", …"""
    if name not in operator_names():
        way_out = did_you_mean(name, operator_names())
        expected = f"one of {list(operator_names())}"
        raise ArgumentError(
            complaint("operator", expected=expected, got=repr(name), way_out=way_out)
        )
    return importlib.import_module(f"onetrip.ops.{name}.{part}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question for the end of a complaint, where one of `known` looks like `name`; else "".

    >>> did_you_mean("kmean", ["KMeans", "PCA"])
    "Did you mean 'KMeans'?"
    """
    lowered = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"Did you mean {lowered[close[0]]!r}?" if close else ""


def load_spec(name: str) -> OperatorSpec:
    """The operator's `SPEC`."""
    return operator_module(name, "spec").SPEC


def load_workloads(name: str, *tags: str) -> tuple[Workload, ...]:
    """The operator's workloads that carry all of `tags`."""
    workloads = operator_module(name, "workloads").WORKLOADS
    return tuple(workload for workload in workloads if workload.tags.issuperset(tags))


def cost_options(name: str) -> tuple[str, ...]:
    """Options of the public function that an operator's cost depends on.

    >>> cost_options("linear_cross_entropy")
    ()
    """
    parameters = inspect.signature(operator_module(name, "cost").estimate_cost).parameters
    others = {*load_spec(name).axes, "dtype", "backward"}
    return tuple(parameter for parameter in parameters if parameter not in others)
