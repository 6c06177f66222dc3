"""Run a case and its truth, forward and backward, and hold one against the other."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from onetrip.core.spec import ErrorBudget
from onetrip.testing.budget import (
    BudgetExceededError,
    assert_within_budget,
    budget_report,
    dtype_name,
)
from onetrip.testing.contract.operator import Call, Case

# Share of the largest value below which one is rounding, in float64.
_NOTHING = 2.0**-40


@dataclass(frozen=True, slots=True)
class Forward:
    """Outputs by name, and the leaves with respect to which they can be differentiated."""

    outputs: dict[str, Tensor]
    leaves: dict[str, Tensor]

    def backward(
        self, grad_outputs: Mapping[str, Tensor], *, retain_graph: bool = False
    ) -> dict[str, Tensor | None]:
        """Gradients of the leaves by name; None where the outputs do not depend on one."""
        absent = grad_outputs.keys() - self.outputs.keys()
        if absent:
            raise BudgetExceededError(f"outputs {sorted(absent)} are missing")
        wanted = {
            name: grad.to(self.outputs[name].dtype)
            for name, grad in grad_outputs.items()
            if self.outputs[name].requires_grad
        }
        if not self.leaves or not wanted:
            return dict.fromkeys(self.leaves)
        gradients = torch.autograd.grad(
            [self.outputs[name] for name in wanted],
            list(self.leaves.values()),
            list(wanted.values()),
            retain_graph=retain_graph,
            allow_unused=True,
        )
        return dict(zip(self.leaves, gradients, strict=True))


@dataclass(frozen=True, slots=True)
class Truth:
    """Reference in the working dtype and in float64: outputs, gradients, incoming gradients.

    `stands_at` says in float64 what stands at the places that an output names, `eager_errors` how
    far the reference was off on other inputs of the kind, where that is known.
    """

    eager: dict[str, Tensor]
    gold: dict[str, Tensor]
    eager_gradients: dict[str, Tensor | None]
    gold_gradients: dict[str, Tensor | None]
    grad_outputs: dict[str, Tensor]
    stands_at: dict[str, Callable[[Tensor], Tensor]]
    eager_errors: Mapping[str, float] = field(default_factory=dict)


def forward(
    case: Case, call: Call, inputs: Mapping[str, Tensor], wrt: Sequence[str] = ()
) -> Forward:
    """Call with the tensors named in `wrt` as leaves that require a gradient."""
    leaves = {name: inputs[name].detach().requires_grad_() for name in wrt}
    result = call(**{**inputs, **leaves})
    main, extra = result if isinstance(result, tuple) else (result, {})
    return Forward({case.operator.spec.outputs[0].name: main, **extra}, leaves)


def truth(
    case: Case,
    inputs: Mapping[str, Tensor],
    wrt: Sequence[str] = (),
    grad_seed: int = 1,
    only: str | None = None,
) -> Truth:
    """Evaluate the reference on `inputs`, and in float64 on the same values.

    `only` names the one output through which the gradients come; None takes all.
    """
    wide = {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in inputs.items()
    }
    gold = forward(case, case.reference, wide, wrt)
    eager = forward(case, case.reference, inputs, wrt)
    grads = random_grad_outputs(case, gold, grad_seed)
    if only is not None:
        grads = {only: grads[only]}
    return Truth(
        eager=eager.outputs,
        gold=gold.outputs,
        eager_gradients=eager.backward(grads),
        gold_gradients=gold.backward(grads),
        grad_outputs=grads,
        stands_at=stands_at(case, inputs),
    )


def stands_at(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Callable[[Tensor], Tensor]]:
    """What says, for each output of places that may nearly tie, what stands there, in float64."""
    options = case.workload.options
    return {
        name: functools.partial(function, **inputs, **options)
        for name, function in case.operator.stands_at.items()
    }


def random_grad_outputs(case: Case, result: Forward, seed: int) -> dict[str, Tensor]:
    """Incoming gradients of the outputs' shapes, none of them 1, exact in the outputs' dtypes."""
    generator = torch.Generator().manual_seed(seed)
    grads = {}
    for name, output in result.outputs.items():
        if output.requires_grad:
            size = torch.rand(output.shape, generator=generator) * 1.5 + 0.25
            sign = torch.rand(output.shape, generator=generator).sub(0.5).sign()
            grad = (size * sign).to(getattr(torch, output_dtype(case, name)))
            grads[name] = grad.to(output.device)
    return grads


def output_dtype(case: Case, name: str) -> str:
    """The workload's dtype if the output may have it, else the one that the spec declares."""
    declared = {tensor.name: tensor.dtypes for tensor in case.operator.spec.outputs}
    if name not in declared:
        raise BudgetExceededError(
            f"`{name}` is an output that the spec of {case.operator.spec.name} does not declare"
        )
    dtype = case.workload.dtype
    return dtype if dtype in declared[name] else declared[name][0]


def assert_outputs(
    case: Case,
    outputs: Mapping[str, Tensor],
    true: Truth,
    budget: ErrorBudget | None = None,
    *,
    ties: bool = False,
) -> None:
    """Hold every output against the truth.

    With `ties`, integers are not compared where plain torch errs on them too.
    """
    if outputs.keys() != true.gold.keys():
        raise BudgetExceededError(
            f"outputs are {sorted(outputs)}, the reference returns {sorted(true.gold)}"
        )
    values_of = {tensor.name: tensor.vectors_of for tensor in case.operator.spec.outputs}
    for name, gold in true.gold.items():
        if gold.requires_grad and not outputs[name].requires_grad:
            raise BudgetExceededError(f"`{name}` is not differentiable, the reference's is")
        actual, eager = outputs[name], true.eager[name]
        allowed, dtype = budget or case.operator.spec.budget, output_dtype(case, name)
        if name in true.stands_at:
            _assert_same_dtype(name, actual, gold)
            dtype = output_dtype(case, case.operator.spec.outputs[0].name)
            actual, eager, gold = map(true.stands_at[name], (actual, eager, gold))
            actual = actual.to(getattr(torch, dtype))
        if ties and not gold.is_floating_point() and not torch.equal(eager, gold):
            continue
        if values_of.get(name) and actual.shape == gold.shape:
            values = true.gold[values_of[name]]
            _assert_orthonormal(name, actual, eager, allowed, dtype)
            count = int((values > _NOTHING * values[:1]).sum())  # Others determine no vector.
            actual, eager, gold = actual[:count], eager[:count], gold[:count]
        assert_within_budget(
            name, actual, eager, gold, allowed, dtype, true.eager_errors.get(name, 0.0)
        )


def _assert_same_dtype(name: str, actual: Tensor, gold: Tensor) -> None:
    if actual.dtype != gold.dtype or actual.shape != gold.shape:
        raise BudgetExceededError(
            f"`{name}` is {actual.dtype} {list(actual.shape)}, "
            f"expected {gold.dtype} {list(gold.shape)}"
        )


def _assert_orthonormal(
    name: str, actual: Tensor, eager: Tensor, budget: ErrorBudget, dtype: str
) -> None:
    """Hold the products of all rows with each other against those of orthonormal ones."""
    found, plain = (rows.double() @ rows.double().T for rows in (actual, eager))
    unit = torch.eye(len(found), dtype=torch.float64, device=found.device)
    products = f"{name} @ {name}.T"
    assert_within_budget(products, found.to(actual.dtype), plain, unit, budget, dtype)


def assert_gradients(
    case: Case,
    gradients: Mapping[str, Tensor | None],
    true: Truth,
    inputs: Mapping[str, Tensor],
    budget: ErrorBudget | None = None,
) -> None:
    """Hold the gradient of every leaf against the truth; None stands for zero."""
    for name, actual in gradients.items():
        like, label = inputs[name], f"gradient of {name}"
        eager, gold = (
            torch.zeros_like(like) if gradient is None else gradient
            for gradient in (true.eager_gradients[name], true.gold_gradients[name])
        )
        if actual is None:
            actual = torch.zeros_like(like)
        assert_within_budget(
            label,
            actual,
            eager,
            gold.double(),
            budget or case.operator.spec.budget,
            dtype_name(like.dtype),
            true.eager_errors.get(label, 0.0),
        )


def eager_errors(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, float]:
    """Largest error of the reference on `inputs`, by output and by "gradient of" an input.

    Vectors have none: those that no value determines differ as a whole, which is no error.
    """
    true = truth(case, inputs, case.differentiable(inputs))
    vectors = {tensor.name for tensor in case.operator.spec.outputs if tensor.vectors_of}
    pairs = {
        name: (true.eager[name], gold) for name, gold in true.gold.items() if name not in vectors
    }
    for name, gold in true.gold_gradients.items():
        eager = true.eager_gradients[name]
        if eager is not None and gold is not None:
            pairs[f"gradient of {name}"] = eager, gold
    budget = case.operator.spec.budget
    return {
        name: budget_report(
            name, eager, eager, gold, budget, dtype_name(eager.dtype)
        ).eager_max_error
        for name, (eager, gold) in pairs.items()
        if eager.is_floating_point() and gold.is_floating_point()
    }


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the last bit, NaN to NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(0.0), b.nan_to_num(0.0))


def assert_case(
    case: Case,
    inputs: Mapping[str, Tensor],
    *,
    wrt: Sequence[str] | None = None,
    given: Mapping[str, Tensor] | None = None,
    true: Truth | None = None,
    budget: ErrorBudget | None = None,
    ties: bool = False,
) -> None:
    """Run `case` on `inputs`, forward and backward, and hold all of it against the truth.

    `given` holds the same values in other storage; `true` is the truth about `inputs` where it is
    known, for all leaves; `budget` takes the place of the spec's;
    `ties` as in `assert_outputs`.
    """
    wrt = case.differentiable(inputs) if wrt is None else wrt
    if true is None:
        true = truth(case, inputs, wrt)
    result = forward(case, case.run, given or inputs, wrt)
    assert_outputs(case, result.outputs, true, budget, ties=ties)
    assert_gradients(case, result.backward(true.grad_outputs), true, inputs, budget)
