"""Checks of values: right on every workload, size, layout and range, whatever memory held."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from onetrip.core.errors import OnetripError, UnsupportedError
from onetrip.core.spec import ErrorBudget
from onetrip.testing.budget import BudgetExceededError
from onetrip.testing.contract.evaluate import (
    Truth,
    assert_case,
    assert_gradients,
    assert_outputs,
    eager_errors,
    forward,
    truth,
)
from onetrip.testing.contract.operator import Case
from onetrip.testing.poison import poisoned

# The largest error of plain torch on a handful of elements is luck.
_CHANCE = 4.0
_OTHER_SEEDS = range(1, 8)
# Products of two such values overflow an exponential, and none of them overflows itself.
_LARGE = {"float16": 8.0, "bfloat16": 32.0, "float32": 32.0, "float64": 32.0}
_TINY = {"float16": 2.0**-12, "bfloat16": 1e-20, "float32": 1e-20, "float64": 1e-20}
# Sound, not exact to the last digit: whoever computes a logit of 3000 twice, in two orders, finds
# exponentials that differ by its last bit, 2⁻¹² in float32.
_EXTREME_FLOOR = {"float16": 2.0**-8, "bfloat16": 2.0**-6, "float32": 2.0**-9, "float64": 2.0**-30}


def check_forward(case: Case) -> None:
    """Outputs are within the error budget when no input requires a gradient."""
    inputs = case.inputs()
    result = forward(case, case.run, inputs)
    assert_outputs(case, result.outputs, truth(case, inputs))


def check_gradients(case: Case) -> None:
    """Outputs and gradients are within the budget under a random incoming gradient."""
    assert_case(case, case.inputs(seed=3))


def check_poisoned_memory(case: Case) -> None:
    """The same, when all memory that is allocated empty holds NaN."""
    inputs = case.inputs(seed=4)
    wrt = case.differentiable(inputs)
    true = truth(case, inputs, wrt)
    with poisoned():
        result = forward(case, case.run, inputs, wrt)
        gradients = result.backward(true.grad_outputs)
    assert_outputs(case, result.outputs, true)
    assert_gradients(case, gradients, true, inputs)


def check_sizes(case: Case) -> None:
    """Axes of one element and of an odd number of them."""
    letters = list(case.workload.axes)
    for axes in (
        *({letter: 1} for letter in letters),
        dict.fromkeys(letters, 1),
        {letter: 17 + 2 * place for place, letter in enumerate(letters)},
    ):
        resized = case.resized(**axes)
        with _naming(f"sizes {dict(resized.workload.axes)}"):
            reason = resized.unsupported_reason()
            if reason is None:
                _assert_on_a_handful(resized)
            else:
                _expect_refusal(resized, reason)


def check_empty(case: Case) -> None:
    """An empty axis gives what the reference gives, or is refused with a reason."""
    for letter in case.workload.axes:
        resized = case.resized(**{letter: 0})
        with _naming(f"{letter} = 0"):
            try:
                inputs = resized.inputs()
                true = truth(resized, inputs, resized.differentiable(inputs))
            except (RuntimeError, IndexError, ValueError):
                continue  # Not even the definition has a meaning.
            try:
                result = forward(resized, resized.run, inputs, resized.differentiable(inputs))
            except OnetripError:
                continue
            assert_outputs(resized, result.outputs, true)
            for name, gradient in result.backward(true.grad_outputs).items():
                if gradient is not None and gradient.shape != inputs[name].shape:
                    raise AssertionError(f"gradient of {name} has shape {list(gradient.shape)}")


def check_layouts(case: Case) -> None:
    """Offset, padded, strided and transposed storage gives what contiguous storage gives.

    A kernel may refuse one in words, if "auto" runs it.
    """
    inputs = case.inputs(seed=5)
    true = truth(case, inputs, case.differentiable(inputs))
    for layout, lay_out in _LAYOUTS.items():
        given = {name: lay_out(tensor) for name, tensor in inputs.items()}
        try:
            assert_case(case, inputs, given=given, true=true)
        except (AssertionError, UnsupportedError) as error:
            # One at a time: to name the input, and to run all but what a kernel refuses.
            for name, same in given.items():
                with _naming(f"{name} {layout}"):
                    _assert_right_or_refused(case, inputs, {**inputs, name: same}, true)
            if not isinstance(error, UnsupportedError):
                raise


def _assert_right_or_refused(
    case: Case, inputs: dict[str, Tensor], given: dict[str, Tensor], true: Truth
) -> None:
    try:
        assert_case(case, inputs, given=given, true=true)
    except UnsupportedError as error:
        if case.impl in ("reference", "torch"):
            raise AssertionError(f"plain torch refuses it: {error}") from error
        if 'impl="auto"' not in str(error):
            raise AssertionError(f"the refusal names no way out: {error}") from error
        assert_case(replace(case, impl="auto"), inputs, given=given, true=true)


def check_extreme_values(case: Case) -> None:
    """Large, tiny and equal values: no overflow, no division by zero, no tie decided ill."""
    if not case.operator.spec.differentiable:
        return _check_extreme_matrices(case)
    budget = replace(_widened(case), floor=_EXTREME_FLOOR)
    for scale in (_LARGE[case.workload.dtype], _TINY[case.workload.dtype], 0.0):
        inputs = case.inputs(seed=6)
        for name in case.differentiable(inputs):
            inputs[name] = inputs[name] * scale
        with _naming(f"inputs × {scale:g}"):
            assert_case(case, inputs, budget=budget, ties=True)


def _check_extreme_matrices(case: Case) -> None:
    """What decisions and decompositions must stand, in every matrix of the workload's dtype."""
    budget = _widened(case)
    for tried, alter in (_EXTREMES_AT_ONCE if case.interpreted else _EXTREMES).items():
        inputs = case.inputs(seed=6)
        matrices = [
            tensor.name
            for tensor in case.operator.spec.inputs
            if len(tensor.axes) > 1 and case.workload.dtype in tensor.dtypes
        ]
        together = torch.cat([inputs[name].flatten() for name in matrices])
        if not together.is_floating_point():
            continue
        for name in matrices:
            inputs[name] = alter(inputs[name], together)
        with _naming(tried), warnings.catch_warnings():
            # Of a search in vain, ahead of a cluster that turned out empty; NaN in a result fails.
            warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
            assert_case(case, inputs, budget=budget, ties=True)


def _as_large_as_squares_allow(x: Tensor, together: Tensor) -> Tensor:
    """The largest magnitude just below what estimators take, 2**51 in float32."""
    most = {torch.float64: 499, torch.float16: 15}.get(x.dtype, 51)
    return torch.ldexp(x, torch.tensor(most) - together.abs().max().frexp().exponent)


def _nearly_nothing(x: Tensor, together: Tensor) -> Tensor:
    """Values whose squares are subnormal; those of float16 are so themselves."""
    least = {torch.float64: -500, torch.float16: -14}.get(x.dtype, -60)
    return torch.ldexp(x, torch.tensor(least) - together.abs().max().frexp().exponent)


def _every_row_twice(x: Tensor, together: Tensor) -> Tensor:
    return x[torch.arange(x.shape[0]) // 2]


def _one_row_over_and_over(x: Tensor, together: Tensor) -> Tensor:
    return x[:1].expand_as(x).contiguous()


# What to call it -> how a matrix is made so, knowing all of them.
_EXTREMES = {
    "as large as squares allow": _as_large_as_squares_allow,
    "nearly nothing": _nearly_nothing,
    "every row twice": _every_row_twice,
    "one row over and over": _one_row_over_and_over,
}

# The interpreter takes its time: one run of it.
_EXTREMES_AT_ONCE = {
    "every row twice, as large as squares allow": lambda x, together: _every_row_twice(
        _as_large_as_squares_allow(x, together), together
    )
}


def check_unsupported_raises(case: Case) -> None:
    """A named implementation that cannot run says why, and nothing runs in its place."""
    reason = case.unsupported_reason()
    if reason is None:
        raise AssertionError(f"{case.impl} runs here: this check is for those that do not")
    _expect_refusal(case, reason)


def _assert_on_a_handful(case: Case) -> None:
    """Hold a problem of few elements to what plain torch errs on others like it, if need be.

    The mean over one weighted token does not depend on its weight, say: terms cancel, to nothing
    or to a last bit, and which of the two plain torch finds says nothing of it.
    """
    inputs, budget = case.inputs(), _widened(case)
    true = truth(case, inputs, case.differentiable(inputs))
    try:
        assert_case(case, inputs, true=true, budget=budget)
    except BudgetExceededError:
        draws = [eager_errors(case, case.inputs(seed=seed)) for seed in _OTHER_SEEDS]
        largest = {name: max(draw.get(name, 0.0) for draw in draws) for name in draws[0]}
        assert_case(case, inputs, true=replace(true, eager_errors=largest), budget=budget)


def _widened(case: Case) -> ErrorBudget:
    budget = case.operator.spec.budget
    return replace(budget, factor=budget.factor * _CHANCE)


def _expect_refusal(case: Case, reason: str) -> None:
    try:
        case.run(**case.inputs())
    except UnsupportedError as error:
        if reason not in str(error):
            raise AssertionError(
                f"impl={case.impl!r} raises {str(error)!r}, `select.py` says {reason!r}"
            ) from error
    else:
        raise AssertionError(
            f"impl={case.impl!r} returned a result, although it is unsupported: {reason}"
        )


def _at_an_odd_address(tensor: Tensor) -> Tensor:
    return tensor.new_zeros(tensor.numel() + 1)[1:].view(tensor.shape).copy_(tensor)


def _with_a_strided_last_axis(tensor: Tensor) -> Tensor:
    if tensor.dim() == 0:
        return tensor
    wide = tensor.new_zeros(*tensor.shape[:-1], 2 * tensor.shape[-1])
    return wide[..., ::2].copy_(tensor)


def _with_padded_rows(tensor: Tensor) -> Tensor:
    if tensor.dim() < 2:
        return tensor
    wide = tensor.new_zeros(*tensor.shape[:-1], tensor.shape[-1] + 3)
    return wide[..., 1:-2].copy_(tensor)


def _transposed(tensor: Tensor) -> Tensor:
    if tensor.dim() < 2:
        return tensor
    return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)


# What to call it -> the same values in other storage.
_LAYOUTS = {
    "at an odd address": _at_an_odd_address,
    "with a strided last axis": _with_a_strided_last_axis,
    "with padded rows": _with_padded_rows,
    "transposed": _transposed,
}


@contextmanager
def _naming(tried: str) -> Iterator[None]:
    """Put what was tried in front of the message of a failed check."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{tried}: {error}") from error
