"""Put a problem itself on trial: does it refuse wrong results, and do its inputs matter?"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from onetrip.lab.problems.defined import default_device
from onetrip.lab.problems.folder import FolderProblem
from onetrip.lab.problems.mutations import mutants
from onetrip.lab.problems.problem import Case, Problem
from onetrip.lab.problems.wide import mapped, tensors_of
from onetrip.lab.verdict import Check

Tensors = Mapping[str, Tensor]

# Seeds of the screening; an attempt's are drawn for it alone. What is accepted under all of them
# is a flaw; under one alone it may be chance, as a single row whose target is ignored.
_SEEDS = (11, 13, 17)
_OTHER = 1000
# A case with fewer input values may be too small to tell right from wrong.
_TELLING = 32
# Larger cases take minutes, or more memory than there is, on such a device: operations of a call
# and elements of its outputs.
_LARGEST = {"cpu": (1e11, 1 << 25), "cuda": (1e15, 1 << 30)}
# Refusals that are told; the rest say the same of other cases.
_TOLD = 3
# Below this share of its mean, what an output varies by is easily lost in a tolerance.
_SMALL_VARIATION = 1e-3


@dataclass(frozen=True, slots=True)
class Screening:
    """What came of it: why the problem may not be judged, and what to know if it may.

    `tried` counts the wrong results that were put before the problem; `cases` names the cases
    they were made for, and `left_out` those for which there was no time.
    """

    refused: str = ""
    warnings: tuple[str, ...] = ()
    tried: int = 0
    cases: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class _Notes:
    refusals: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tried: int = 0


def screen(problem: Problem, *, device: str | None = None, seconds: float = 60.0) -> Screening:
    """Show a problem wrong results: zeros, noise, a constant, shuffled, cut, rounded, stale ones.

    Parameters
    ----------
    problem : which.
    device : where; by default a GPU when there is one.
    seconds : after this long no further case is begun. Small cases come first; those that would
        take minutes on this device are left out.

    Returns
    -------
    Screening
        A problem that accepts one of them is refused, with the numbers; so is one that does not
        accept its own definition.

    Notes
    -----
    Each wrong result is wrong in one output only, and right in all others. A result rounded to
    fewer bits counts as right where plain torch is not closer to the truth.
    """
    device = device or default_device()
    notes, done, left_out = _Notes(), [], []
    begin = time.monotonic()
    for case in sorted(problem.cases, key=lambda case: _size(problem, case)):
        if (done and time.monotonic() - begin > seconds) or _too_large(problem, case, device):
            left_out.append(case.name)
            continue
        _screen_case(problem, case, device, notes)
        done.append(case.name)
    if not done:
        notes.warnings.append(f"Every case is too large to be screened on {device}.")
    return Screening(
        # The coarsest first: who accepts zeros need not be told of rounding.
        refused=" ".join(message for _, message in sorted(notes.refusals)[:_TOLD]),
        warnings=tuple(dict.fromkeys(notes.warnings)),
        tried=notes.tried,
        cases=tuple(done),
        left_out=tuple(left_out),
    )


def _screen_case(problem: Problem, case: Case, device: str, notes: _Notes) -> None:
    draw = _Draw(problem, case, device, _SEEDS[0])
    flaws = _flaws(draw, notes)
    for seed in _SEEDS[1:]:
        if not flaws:
            return
        again = _flaws(_Draw(problem, case, device, seed), notes)
        flaws = {key: message for key, message in flaws.items() if key in again}
    small = sum(tensor.numel() for tensor in tensors_of(draw.inputs)) < _TELLING
    if small:
        # Softmax of a single value is 1 whatever the value: an edge to test, not a flaw.
        notes.warnings += [message for _, message in flaws.values()]
    else:
        notes.refusals += flaws.values()


class _Draw:
    """One case under one seed: inputs, right results, and the results for other inputs."""

    def __init__(self, problem: Problem, case: Case, device: str, seed: int) -> None:
        self.problem, self.case, self.first = problem, case, seed == _SEEDS[0]
        self._setup = problem.setup(case, seed, device)
        self.inputs = problem.inputs(case, seed, device)
        self.others = problem.inputs(case, seed + _OTHER, device)
        self.eager = self.run(self.inputs)
        self.stale = self.run(self.others)
        self.truth = problem.truth(case, self._setup, self.inputs)

    def run(self, inputs: Any) -> Tensors:
        """The definition in the working dtype."""
        return self.problem.eager(self.case, self._setup, inputs)

    def check(self, outputs: Tensors) -> list[Check]:
        """What the problem says of these outputs."""
        return self.problem.check(self.case, self.inputs, outputs, self.eager, self.truth)


def _flaws(draw: _Draw, notes: _Notes) -> dict[tuple[str, str], tuple[int, str]]:
    """Wrong results that are accepted: output and what is wrong -> how fine, and what to tell."""
    where = draw.case.name
    failed = [check for check in draw.check(draw.eager) if not check.passed]
    if failed:
        message = f"{where}: it does not accept its own definition: {failed[0].message}."
        return {(failed[0].tensor, "right"): (-1, message)}
    found = {}
    for name, right in draw.eager.items():
        if right.numel() == 0:
            continue
        made = mutants(right, draw.stale[name], _SEEDS[0])
        for fineness, (what, wrong) in enumerate(made.items()):
            if _is_count(draw, right) and torch.equal(wrong, right):
                continue
            notes.tried += 1
            outputs = {**draw.eager, name: wrong}
            if _passed(draw.check(outputs)):
                rounded = what.startswith("rounded")
                if not rounded or _worse(wrong, right, draw.truth[name]):
                    message = _accepted(draw.case, name, what, wrong, draw.truth[name])
                    found[name, what] = fineness, message
            elif draw.first:
                _own_check_too(draw, outputs, name, what, notes)
        if draw.first:
            _look_at_variation(draw.case, name, draw.truth[name], notes)
    if draw.first:
        _look_at_inputs(draw, notes)
    return found


def _is_count(draw: _Draw, right: Tensor) -> bool:
    """Whether an output is one integer beside others: iterations may be as many for any inputs."""
    return right.numel() == 1 and not right.is_floating_point() and len(draw.eager) > 1


def _passed(checks: list[Check]) -> bool:
    return all(check.passed for check in checks)


def _own_check_too(draw: _Draw, outputs: Tensors, name: str, what: str, notes: _Notes) -> None:
    if not isinstance(draw.problem, FolderProblem) or what.startswith("rounded"):
        return
    checks = draw.problem.own_check(draw.case, draw.inputs, outputs, draw.eager)
    if checks and _passed(checks):
        notes.warnings.append(
            f"{draw.case.name}: the folder's own check accepts `{name}` {what}; the error budget "
            "does not, so it decides."
        )


def _worse(wrong: Tensor, right: Tensor, truth: Tensor) -> bool:
    """Whether rounding made a result clearly worse than plain torch's."""
    plain = (right.double() - truth.double()).abs().max()
    return bool((wrong.double() - truth.double()).abs().max() > 4 * plain)


def _accepted(case: Case, name: str, what: str, wrong: Tensor, truth: Tensor) -> str:
    error = (wrong.double() - truth.double()).abs().max()
    size = truth.double().abs().max()
    return (
        f"{case.name}: `{name}` {what} is accepted, although it is wrong by {float(error):.3g} "
        f"where the largest true value is {float(size):.3g}. Tighten the tolerance or draw inputs "
        "that tell right from wrong."
    )


def _look_at_variation(case: Case, name: str, truth: Tensor, notes: _Notes) -> None:
    if truth.numel() < 2 or not truth.is_floating_point():
        return
    deviation, mean = float(truth.std()), abs(float(truth.mean()))
    if deviation < _SMALL_VARIATION * mean:
        notes.warnings.append(
            f"{case.name}: `{name}` hardly varies: deviation {deviation:.3g} around {mean:.3g}."
        )


def _look_at_inputs(draw: _Draw, notes: _Notes) -> None:
    """Exchange one input at a time for another seed's: the outputs must not stay as they are."""
    where, written = draw.case.name, draw.problem.entry.written
    pairs = zip(tensors_of(draw.inputs), tensors_of(draw.others), strict=True)
    for place, (given, other) in enumerate(pairs):
        if place in written or given.shape != other.shape:
            continue
        if torch.equal(given, other):
            if given.numel() > 1:
                notes.warnings.append(f"{where}: input tensor {place} is the same for every seed.")
            continue
        found = draw.run(_with(draw.inputs, place, other))
        if all(torch.equal(found[name], draw.eager[name]) for name in draw.eager):
            notes.warnings.append(f"{where}: no output depends on input tensor {place}.")


def _with(inputs: Any, place: int, other: Tensor) -> Any:
    count = -1

    def change(tensor: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return other if count == place else tensor

    return mapped(inputs, change)


def _size(problem: Problem, case: Case) -> int:
    return sum(torch.Size(output.shape).numel() for output in problem.outputs(case))


def _too_large(problem: Problem, case: Case, device: str) -> bool:
    most_flops, most_elements = _LARGEST[device.partition(":")[0]]
    cost = problem.cost(case)
    return _size(problem, case) > most_elements or (cost is not None and cost.flops > most_flops)
