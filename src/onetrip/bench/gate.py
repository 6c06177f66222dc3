"""The gate: how far a contender is from the truth, before anybody asks how fast it is."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from onetrip.testing.budget import BudgetReport, budget_report, dtype_name
from onetrip.testing.contract import Case
from onetrip.testing.contract.evaluate import Call, Truth, forward, output_dtype


def examine(
    case: Case, call: Call, inputs: Mapping[str, Tensor], wrt: Sequence[str], true: Truth
) -> dict[str, BudgetReport]:
    """Run `call` forward and backward under a random incoming gradient, and report every tensor.

    Other people's functions may return another dtype than ours: they are judged on its values.

    Returns
    -------
    dict of str to BudgetReport
        One for each output and, under "gradient of <input>", for each gradient.
    """
    result = forward(case, call, inputs, wrt)
    reports = {}
    for name, gold in true.gold.items():
        dtype = output_dtype(case, name)
        actual = result.outputs[name].detach()
        reports[name] = _report(case, name, actual, true.eager[name], gold, dtype)
    gradients = result.backward(true.grad_outputs)
    del result
    for name in wrt:
        actual, like = gradients.pop(name), inputs[name]
        eager, gold = (
            torch.zeros_like(like) if gradient is None else gradient
            for gradient in (true.eager_gradients[name], true.gold_gradients[name])
        )
        if actual is None:
            actual = torch.zeros_like(like)
        label = f"gradient of {name}"
        reports[label] = _report(case, label, actual, eager, gold, dtype_name(like.dtype))
    return reports


def worst_share(reports: Mapping[str, BudgetReport]) -> float:
    """Largest error as a share of its budget; above 1 the contender is incorrect."""
    shares = [
        0.0
        if report.max_error == 0
        else report.max_error / report.allowance
        if report.allowance
        else math.inf
        for report in reports.values()
    ]
    return max(shares, default=0.0)


def _report(
    case: Case, name: str, actual: Tensor, eager: Tensor, gold: Tensor, dtype: str
) -> BudgetReport:
    if actual.is_floating_point() and gold.is_floating_point():
        actual = actual.to(getattr(torch, dtype))
    return budget_report(name, actual, eager, gold, case.operator.spec.budget, dtype)
