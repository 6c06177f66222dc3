"""The contract that every operator keeps, as a list of named checks that anybody can run."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from onetrip.testing.contract import autograd, declared, hygiene, values
from onetrip.testing.contract.operator import Case, Operator, cases, load_operator

# What is declared, once per operator.
_OF_OPERATORS = (
    declared.check_spec,
    declared.check_workloads,
    declared.check_cost,
    declared.check_select,
)
# Run on every workload.
_OF_WORKLOADS = (
    values.check_forward,
    values.check_gradients,
    values.check_poisoned_memory,
    hygiene.check_deterministic,
    hygiene.check_inputs_unchanged,
)
# Run the operator many times, so on workloads tagged "smoke" only.
_OF_SMALL_WORKLOADS = (
    values.check_sizes,
    values.check_empty,
    values.check_layouts,
    values.check_extreme_values,
    autograd.check_frozen_inputs,
    autograd.check_second_backward,
    autograd.check_backward_of_a_part,
    hygiene.check_peak_memory,
    declared.check_configs,
)
# Of an operator without a backward pass they would run the forward pass again.
_OF_BACKWARD_PASSES = (
    values.check_gradients,
    autograd.check_frozen_inputs,
    autograd.check_second_backward,
    autograd.check_backward_of_a_part,
)


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """One check, ready to run.

    `name` is "check[implementation-workload-dtype]"; `promise` says what holds when it passes;
    `skip_reason` is why it cannot run here, or None.
    """

    name: str
    promise: str
    skip_reason: str | None
    run: Callable[[], None]


def contract_checks(
    operator: str | Operator,
    *,
    device: str | torch.device = "cpu",
    tag: str = "cpu",
    dtypes: Sequence[str] | None = None,
    implementations: Sequence[str] | None = None,
) -> tuple[ContractCheck, ...]:
    """List the checks of one operator; each `run()` raises `AssertionError` where it fails.

    Parameters
    ----------
    operator : name, or the parts of one that is not in `onetrip.ops`.
    device : where to run.
    tag : of the workloads to run on.
    dtypes : run every workload in each of these; None, in its own.
    implementations : which to run; None, all that the spec names.

    Returns
    -------
    tuple of ContractCheck
        An implementation that cannot run on `device` has its checks skipped with the reason, and
        one check instead: that it says so when it is called.

    Examples
    --------
    >>> checks = contract_checks("linear_cross_entropy")
    >>> checks[0].name, checks[0].promise[:21]
    ('spec', 'The spec is complete,')
    >>> checks[0].run()
    """
    parts = load_operator(operator) if isinstance(operator, str) else operator
    found = [_check(check, check.__name__, parts) for check in _OF_OPERATORS]
    for case in cases(
        parts, device=device, tag=tag, dtypes=dtypes, implementations=implementations
    ):
        found += _checks_of(case)
    return tuple(found)


def _checks_of(case: Case) -> list[ContractCheck]:
    reason = case.unsupported_reason()
    workload = case.workload
    suffix = f"[{case.impl}-{workload.name}-{workload.dtype}]"
    checks = list(_OF_WORKLOADS)
    if "smoke" in workload.tags:
        checks += _OF_SMALL_WORKLOADS
    if not case.operator.spec.differentiable:
        checks = [check for check in checks if check not in _OF_BACKWARD_PASSES]
    made = [_check(check, check.__name__ + suffix, case, reason) for check in checks]
    if reason is not None:
        refusal = values.check_unsupported_raises
        made.append(_check(refusal, refusal.__name__ + suffix, case))
    return made


def _check(
    function: Callable[..., None],
    name: str,
    subject: Case | Operator,
    skip_reason: str | None = None,
) -> ContractCheck:
    promise = (function.__doc__ or "").strip()
    run = functools.partial(function, subject)
    return ContractCheck(name.removeprefix("check_"), promise, skip_reason, run)


__all__ = ["Case", "ContractCheck", "Operator", "contract_checks", "load_operator"]
