"""The configurations of an operator on one problem, and which of them cannot run."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from onetrip.core import tuning
from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.core.operators import load_spec, operator_module
from onetrip.core.selection import Config, Problem
from onetrip.core.units import bytes_text


@dataclass(frozen=True, slots=True)
class Space:
    """Points to try: for each implementation, the values of each of its parameters.

    `defaults` are what each implementation runs when no tuning table speaks.
    """

    operator: str
    problem: Problem
    parameters: Mapping[str, Mapping[str, tuple[int, ...]]]
    defaults: Mapping[str, Config]
    memory_bytes: int | None = None

    @property
    def size(self) -> int:
        """Number of points, those that cannot run included."""
        return sum(
            math.prod(len(values) for values in parameters.values())
            for parameters in self.parameters.values()
        )

    def points(self) -> Iterator[tuple[str, Config]]:
        """All points, implementation by implementation."""
        for impl, parameters in self.parameters.items():
            for values in itertools.product(*parameters.values()):
                yield impl, self.complete(impl, dict(zip(parameters, values, strict=True)))

    def complete(self, impl: str, chosen: Config) -> Config:
        """A configuration with the default of everything that is not searched."""
        return {**self.defaults[impl], **chosen}

    def neighbours(self, impl: str, config: Config) -> Iterator[tuple[str, Config]]:
        """Points one step away along one parameter: the parameter, the configuration."""
        for name, values in self.parameters[impl].items():
            for value in _beside(config[name], values):
                yield name, {**config, name: value}

    def refuses(self, impl: str, config: Config) -> str | None:
        """Why this point must not run: the operator's own rule, then memory; None if it may."""
        select = operator_module(self.operator, "select")
        reason = select.unsupported_reason(impl, self.problem, config)
        if reason is not None:
            return reason
        needed = select.workspace_bytes(impl, self.problem, config)
        if self.memory_bytes is not None and needed > self.memory_bytes:
            return (
                f"its workspace of {bytes_text(needed)} is more than the "
                f"{bytes_text(self.memory_bytes)} that are free"
            )
        return None


def open_space(
    operator: str,
    problem: Problem,
    *,
    impls: tuple[str, ...] = (),
    memory_bytes: int | None = None,
) -> Space:
    """The space of `impls`, or of every implementation that has one and runs here.

    Raises
    ------
    ArgumentError
        A name in `impls` is no implementation of the operator.
    UnsupportedError
        A named implementation cannot run here, or has nothing to tune; or none is left.
    """
    spec = load_spec(operator)
    unknown = sorted(set(impls) - set(spec.implementations))
    if unknown:
        expected = f"among {list(spec.implementations)}"
        raise ArgumentError(complaint("impl", expected=expected, got=unknown))
    select = operator_module(operator, "select")
    parameters = {}
    refusals = {}
    for impl in impls or spec.implementations:
        reason = _why_not(select, impl, problem)
        if reason is None:
            parameters[impl] = dict(select.search_space(impl, problem))
        else:
            refusals[impl] = reason
    if not parameters or (impls and refusals):
        reasons = "; ".join(f"{impl}: {reason}" for impl, reason in refusals.items())
        raise UnsupportedError(
            f"{operator} cannot be tuned here. {reasons}. "
            "Choose another --impl, --device or --workload."
        )
    with tuning.ignore_tables():
        defaults = {impl: dict(select.default_config(impl, problem)) for impl in parameters}
    return Space(operator, problem, parameters, defaults, memory_bytes)


def _why_not(select: ModuleType, impl: str, problem: Problem) -> str | None:
    reason = select.unsupported_reason(impl, problem)
    if reason is not None:
        return reason
    parameters = select.search_space(impl, problem)
    return None if parameters else "has no parameters to tune"


def _beside(value: int, values: tuple[int, ...]) -> list[int]:
    """The next smaller and the next larger of `values`; `value` need not be among them."""
    smaller = [other for other in values if other < value]
    larger = [other for other in values if other > value]
    return [*([max(smaller)] if smaller else []), *([min(larger)] if larger else [])]
