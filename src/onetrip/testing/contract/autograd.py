"""Checks of the backward pass: frozen inputs, and a graph that is used more than once."""

import itertools

from onetrip.testing.contract.evaluate import (
    assert_case,
    assert_gradients,
    forward,
    same_bits,
    truth,
)
from onetrip.testing.contract.operator import Case

# All subsets of three inputs are eight; of more, those of one and of all but one are enough.
_ALL_SUBSETS = 3


def check_frozen_inputs(case: Case) -> None:
    """Whichever inputs are frozen, the others' gradients are right; all frozen, there is none."""
    inputs = case.inputs(seed=7)
    names = case.differentiable(inputs)
    if len(names) <= _ALL_SUBSETS:
        sizes = range(1, len(names))
    else:
        sizes = (1, len(names) - 1)
    for size in sizes:
        for wrt in itertools.combinations(names, size):
            try:
                assert_case(case, inputs, wrt=wrt)
            except AssertionError as error:
                frozen = sorted(set(names) - set(wrt))
                raise AssertionError(f"with {frozen} frozen: {error}") from error
    for name, output in forward(case, case.run, inputs).outputs.items():
        if output.requires_grad:
            raise AssertionError(f"`{name}` requires a gradient although no input does")


def check_second_backward(case: Case) -> None:
    """A retained graph gives the right gradients again, also for another incoming gradient."""
    inputs = case.inputs(seed=8)
    wrt = case.differentiable(inputs)
    first_truth = truth(case, inputs, wrt, grad_seed=1)
    second_truth = truth(case, inputs, wrt, grad_seed=2)
    result = forward(case, case.run, inputs, wrt)
    first = result.backward(first_truth.grad_outputs, retain_graph=True)
    kept = {name: None if grad is None else grad.clone() for name, grad in first.items()}
    second = result.backward(second_truth.grad_outputs, retain_graph=True)
    third = result.backward(first_truth.grad_outputs)
    for order, gradients, true in (
        ("first", kept, first_truth),
        ("second", second, second_truth),
        ("third", third, first_truth),
    ):
        try:
            assert_gradients(case, gradients, true, inputs)
        except AssertionError as error:
            raise AssertionError(f"{order} backward pass: {error}") from error
    for name, gradient in first.items():
        before = kept[name]
        if gradient is not None and before is not None and not same_bits(gradient, before):
            raise AssertionError(f"the second backward pass changed the first's gradient of {name}")


def check_backward_of_a_part(case: Case) -> None:
    """Each output alone can be differentiated, as it can in the reference."""
    inputs = case.inputs(seed=9)
    wrt = case.differentiable(inputs)
    outputs = truth(case, inputs, wrt).grad_outputs
    if len(outputs) < 2:
        return
    for name in outputs:
        true = truth(case, inputs, wrt, only=name)
        gradients = forward(case, case.run, inputs, wrt).backward(true.grad_outputs)
        try:
            assert_gradients(case, gradients, true, inputs)
        except AssertionError as error:
            raise AssertionError(f"through `{name}` alone: {error}") from error
