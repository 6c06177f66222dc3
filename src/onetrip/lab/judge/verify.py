"""Is a candidate right? Against float64 truth within the error budget, on inputs it never saw."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from onetrip.core.spec import OperatorSpec
from onetrip.lab.judge.calls import Tensors
from onetrip.lab.verdict import Check
from onetrip.testing.budget import BudgetReport, budget_report, dtype_name

# Largest relative difference (Frobenius) to plain torch at full size, where truth would take too
# long: enough to catch a missing tile. Rounding is measured on the rows that have a truth.
FULL_SIZE_BOUND: Mapping[str, float] = {
    "float64": 2.0**-30,
    "float32": 2.0**-12,
    "float16": 2.0**-5,
    "bfloat16": 2.0**-3,
}
# Share of integers that may differ there: an argmax may fall to the other of two near equals.
FULL_SIZE_UNEQUAL = 2.0**-6


def take_rows(inputs: Tensors, spec: OperatorSpec, rows: int, seed: int) -> dict[str, Tensor]:
    """A window of `rows` along the operator's first axis, at a place that `seed` picks."""
    taken = dict(inputs)
    for name, axis in _row_axes(inputs, spec).items():
        begin = seed % (inputs[name].shape[axis] - rows + 1)
        taken[name] = inputs[name].narrow(axis, begin, rows).contiguous()
    return taken


def roll_rows(inputs: Tensors, spec: OperatorSpec) -> dict[str, Tensor]:
    """The same problem with its rows half way round: other values everywhere, at no cost."""
    rolled = dict(inputs)
    for name, axis in _row_axes(inputs, spec).items():
        rolled[name] = inputs[name].roll(inputs[name].shape[axis] // 2, dims=axis)
    return rolled


def _row_axes(inputs: Tensors, spec: OperatorSpec) -> dict[str, int]:
    """Which tensors have the operator's first axis, and where."""
    letter = next(iter(spec.axes))
    return {
        declared.name: declared.axes.index(letter)
        for declared in spec.inputs
        if letter in declared.axes and declared.name in inputs
    }


def against_truth(
    actual: Tensors, eager: Tensors, gold: Tensors, spec: OperatorSpec
) -> list[Check]:
    """Every output and gradient of the truth within the budget; a missing one fails."""
    checks = []
    for name, truth in gold.items():
        if name in actual:
            dtype = dtype_name(eager[name].dtype)
            report = budget_report(name, actual[name], eager[name], truth, spec.budget, dtype)
            checks.append(_check(report))
        else:
            checks.append(Check(name, False, None, None, f"`{name}` was not returned"))
    return checks


def at_full_size(actual: Tensors, eager: Tensors) -> list[Check]:
    """Every output and gradient near plain torch's on the whole problem."""
    checks = []
    for name, expected in eager.items():
        relative, bound = _difference(actual[name], expected)
        # Written so that NaN fails.
        passed = relative <= bound
        message = (
            f"`{name}` differs from plain torch by {relative:.3g} on the whole problem, "
            f"allowed {bound:.3g}"
        )
        label = f"{name} (full size)"
        checks.append(Check(label, passed, _finite(relative), bound, "" if passed else message))
    return checks


def untouched(before: Tensors, after: Tensors) -> list[Check]:
    """A failed check for every input that is not what it was."""
    return [
        Check(name, False, None, None, f"the candidate changed its input `{name}`")
        for name in before
        if not torch.equal(before[name], after[name])
    ]


def wide(inputs: Tensors) -> dict[str, Tensor]:
    """The same values in float64, integers as they are."""
    return {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in inputs.items()
    }


def _difference(actual: Tensor, expected: Tensor) -> tuple[float, float]:
    if not expected.is_floating_point():
        return float((actual != expected).double().mean()), FULL_SIZE_UNEQUAL
    truth = expected.double()
    distance, size = float((actual.double() - truth).norm()), float(truth.norm())
    return distance / size if size else distance, FULL_SIZE_BOUND[dtype_name(expected.dtype)]


def _check(report: BudgetReport) -> Check:
    message = "" if report.within else str(report)
    return Check(
        report.name, report.within, _finite(report.max_error), _finite(report.allowance), message
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
