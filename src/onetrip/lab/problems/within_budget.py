"""Hold outputs against float64 truth: the checks that all sources of problems share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.core.spec import DEFAULT_FLOOR, ErrorBudget
from onetrip.lab.verdict import Check
from onetrip.testing.budget import budget_report, dtype_name

Tensors = Mapping[str, Tensor]

# Eight bits have two or three for the fraction.
_EIGHT_BITS = {"float8_e4m3fn": 2.0**-3, "float8_e5m2": 2.0**-2}
# For definitions that state no budget of their own.
PLAIN_BUDGET = ErrorBudget(
    factor=4.0,
    reason="As exact as plain torch up to the order of summation: four times its own error, and "
    "a few units in the last place.",
    floor={**DEFAULT_FLOOR, **_EIGHT_BITS},
)
# Where a definition cannot be evaluated in float64, its own rounding hides in the "truth": sums of
# thousands of terms in another order may differ by this much of the largest value.
UNROUNDED_FLOOR: Mapping[str, float] = {
    **PLAIN_BUDGET.floor,
    "float32": 2.0**-14,
    "float16": 2.0**-7,
    "bfloat16": 2.0**-5,
}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A budget and, for readers, where the truth comes from."""

    budget: ErrorBudget
    truth: str = "the definition in float64"

    def as_dict(self) -> dict[str, object]:
        """Plain values that decide right or wrong."""
        return {
            "rule": "|actual - truth| <= factor * max|eager - truth| + floor * max|truth|",
            "factor": self.budget.factor,
            "floor": dict(self.budget.floor),
            "reason": self.budget.reason,
            "truth": self.truth,
        }


def budget_checks(
    outputs: Tensors, eager: Tensors, truth: Tensors, budget: ErrorBudget, workload: str
) -> list[Check]:
    """One check for each tensor of the truth; a missing one fails, and so does NaN.

    >>> gold = {"y": torch.ones(3, dtype=torch.float64)}
    >>> plain = {"y": torch.ones(3)}
    >>> [check.passed for check in budget_checks(plain, plain, gold, PLAIN_BUDGET, "small")]
    [True]
    """
    return [
        _check(name, outputs.get(name), eager[name], gold, budget, workload)
        for name, gold in truth.items()
    ]


def _check(
    name: str,
    actual: Tensor | None,
    eager: Tensor,
    gold: Tensor,
    budget: ErrorBudget,
    workload: str,
) -> Check:
    if actual is None:
        return Check(name, False, None, None, f"`{name}` was not returned", workload)
    dtype = dtype_name(eager.dtype)
    if not gold.is_floating_point() and eager.shape == actual.shape:
        # Between two near equals an argmax may fall to either: plain torch's choice is right too.
        gold = torch.where(actual == eager, eager, gold)
    report = budget_report(name, actual, eager, gold, budget, dtype)
    message = "" if report.within else str(report)
    return Check(
        name,
        report.within,
        report.max_error if math.isfinite(report.max_error) else None,
        report.allowance if math.isfinite(report.allowance) else None,
        message,
        workload,
    )
