"""Only plain tensors of the right kind, in memory of their own, are results."""

import pytest
import torch
from torch import Tensor

from onetrip.lab.judge.arena import lay_out
from onetrip.lab.judge.returned import (
    BrokenRuleError,
    WrongOutputError,
    check_results,
    own_span,
    refuse_borrowed,
    results_in_order,
    span_of,
)
from onetrip.lab.problems.problem import OutputSpec

PLACES = lay_out([OutputSpec("y", (4, 4), "float32"), OutputSpec("n", (), "int64")]).places
Y, N = torch.ones(4, 4), torch.tensor(3)


class Lazy(Tensor):
    pass


def with_attribute():
    tensor = torch.ones(4, 4)
    tensor.later = lambda: None
    return tensor


def copy_on_write():
    return torch._lazy_clone(torch.ones(4, 4))


def test_plain_results_pass_in_any_container():
    for returned in ((Y, N), [Y, N], {"n": N, "y": Y}):
        results = results_in_order(returned, PLACES)
        assert results[0] is Y
        check_results(results, PLACES, "cpu")


@pytest.mark.parametrize("returned", [Y, (Y,), (Y, N, N), {"y": Y}, None, "done"])
def test_another_number_of_results_is_wrong(returned):
    with pytest.raises(WrongOutputError):
        results_in_order(returned, PLACES)


@pytest.mark.parametrize(
    "y", [Y.double(), Y[:2], Y.view(16), torch.ones(4, 8)[:, ::2], [[1.0] * 4] * 4, 1.0,
          torch.ones(1).expand(4, 4), Y.to("meta")]
)  # fmt: skip
def test_another_shape_dtype_layout_or_kind_is_wrong(y):
    with pytest.raises(WrongOutputError, match="`y`"):
        check_results([y, N], PLACES, "cpu")


@pytest.mark.parametrize(
    "make",
    [lambda: torch.ones(4, 4).as_subclass(Lazy), with_attribute, copy_on_write],
    ids=["subclass", "attribute", "copy on write"],
)
def test_a_result_that_could_be_computed_later_breaks_a_rule(make):
    with pytest.raises(BrokenRuleError, match="lazy result"):
        check_results([make(), N], PLACES, "cpu")


def test_memory_of_the_inputs_or_of_the_call_before_is_not_a_result():
    data = torch.zeros(64)
    inputs, nothing = span_of(data), []
    own = [torch.ones(4, 4), N]
    refuse_borrowed(own, PLACES, inputs, nothing, [torch.ones(4, 4), torch.tensor(1)])
    view = [data[16:32].view(4, 4), N]
    with pytest.raises(BrokenRuleError, match="inputs"):
        refuse_borrowed(view, PLACES, inputs, nothing, nothing)
    refuse_borrowed(view, PLACES, inputs, [own_span(view[0])], nothing)
    with pytest.raises(BrokenRuleError, match="the call before"):
        refuse_borrowed(own, PLACES, inputs, nothing, [own[0], torch.tensor(1)])
