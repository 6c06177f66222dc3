import math

import pytest
import torch

from onetrip.core.errors import ArgumentError
from onetrip.core.spec import ErrorBudget
from onetrip.testing import budget as budget_module
from onetrip.testing.budget import BudgetExceededError, assert_within_budget, budget_report

BUDGET = ErrorBudget(1.0, "as good as plain torch")


@pytest.fixture
def product():
    """A bfloat16 product: what plain torch gives and the truth."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(64, 64, generator=generator).bfloat16() for _ in range(2))
    return a @ b, a.double() @ b.double()


def test_plain_torch_is_within_its_own_budget(product):
    eager, gold = product
    report = assert_within_budget("y", eager, eager, gold, BUDGET, "bfloat16")
    assert 0 < report.max_error <= report.allowance
    assert report.eager_relative_error == report.relative_error < 0.01


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(torch.zeros_like, id="all zero"),
        pytest.param(lambda y: y.T.contiguous(), id="wrong axis"),
        pytest.param(lambda y: y * 1.02, id="wrong scale"),
        pytest.param(lambda y: y.clone().index_fill_(0, torch.tensor([63]), 0), id="lost row"),
        pytest.param(lambda y: y.clone().fill_(math.inf), id="infinite"),
    ],
)
def test_wrong_results_exceed_the_budget(product, spoil):
    eager, gold = product
    with pytest.raises(BudgetExceededError, match="exceeds its budget"):
        assert_within_budget("y", spoil(eager), eager, gold, BUDGET, "bfloat16")


def test_message_names_tensor_count_index_and_all_three_values(product):
    eager, gold = product
    actual = eager.clone()
    actual[3, 5] = 1e4
    with pytest.raises(BudgetExceededError) as caught:
        assert_within_budget("dx", actual, eager, gold, BUDGET, "bfloat16")
    message = str(caught.value)
    assert "`dx`" in message
    assert "1 of 4096 elements" in message
    assert "[3, 5]" in message
    for value in (actual[3, 5], eager[3, 5], gold[3, 5]):
        assert f"{float(value):.9g}" in message


def test_nan_fails_where_the_truth_is_a_number():
    gold = torch.ones(3, dtype=torch.float64)
    actual = torch.tensor([1.0, math.nan, 1.0])
    report = budget_report("y", actual, gold.float(), gold, BUDGET, "float32")
    assert (report.within, report.outside, report.worst_index) == (False, 1, (1,))
    assert report.max_error == math.inf


def test_nan_and_infinity_are_right_where_the_truth_is_the_same():
    gold = torch.tensor([math.nan, math.inf, -math.inf, 1.0], dtype=torch.float64)
    actual = gold.float()
    assert budget_report("y", actual, actual, gold, BUDGET, "float32").within
    for index, wrong in ((0, 0.0), (1, 3e38), (2, math.inf)):
        spoilt = actual.clone()
        spoilt[index] = wrong
        assert not budget_report("y", spoilt, actual, gold, BUDGET, "float32").within


def test_a_reference_that_overflows_excuses_nobody():
    gold = torch.tensor([1e5, 1.0], dtype=torch.float64)
    eager = torch.tensor([math.inf, 1.0])
    report = budget_report("y", torch.tensor([1e5, 1.5]), eager, gold, BUDGET, "float32")
    assert not report.within
    assert report.allowance < 0.1


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        pytest.param(torch.ones(4), "has shape [4], expected [3]", id="shape"),
        pytest.param(torch.ones(3).half(), "has dtype float16, expected float32", id="dtype"),
        pytest.param(torch.ones(3).long(), "has dtype int64, expected float32", id="integer"),
    ],
)
def test_wrong_shape_and_dtype_fail(actual, message):
    gold = torch.ones(3, dtype=torch.float64)
    with pytest.raises(BudgetExceededError) as caught:
        assert_within_budget("y", actual, gold.float(), gold, BUDGET, "float32")
    assert message in str(caught.value)


def test_integers_are_exact_whatever_plain_torch_gives():
    gold = torch.tensor([2**62, 7, -1])
    assert budget_report("argmax", gold.clone(), gold + 5, gold, BUDGET, "int64").within
    off_by_one = gold + torch.tensor([1, 0, 0])
    report = budget_report("argmax", off_by_one, off_by_one, gold, BUDGET, "int64")
    assert (report.within, report.outside, report.worst_index) == (False, 1, (0,))


def test_no_elements_are_within_any_budget():
    gold = torch.ones(0, 5, dtype=torch.float64)
    assert budget_report("y", gold.float(), gold.float(), gold, BUDGET, "float32").within


def test_scalars_have_an_empty_index():
    gold = torch.tensor(2.0, dtype=torch.float64)
    report = budget_report("loss", torch.tensor(3.0), gold.float(), gold, BUDGET, "float32")
    assert report.worst_index == ()
    assert report.max_error == 1.0


def test_eager_of_another_shape_is_the_callers_mistake():
    with pytest.raises(ArgumentError, match="`eager` must be of the shape of `gold`"):
        budget_report("y", torch.ones(3), torch.ones(1), torch.ones(3).double(), BUDGET, "float32")


def test_chunks_give_the_numbers_of_the_whole(product, monkeypatch):
    eager, gold = product
    actual = eager.clone()
    actual[40, 1] += 1000
    whole = budget_report("y", actual, eager, gold, BUDGET, "bfloat16")
    monkeypatch.setattr(budget_module, "_CHUNK", 1000)
    parts = budget_report("y", actual, eager, gold, BUDGET, "bfloat16")
    assert parts.worst_index == whole.worst_index == (40, 1)
    assert parts.outside == whole.outside
    assert parts.allowance == whole.allowance
    assert parts.relative_error == pytest.approx(whole.relative_error, rel=1e-12)


def test_non_contiguous_results_keep_their_indices(product):
    eager, gold = product
    actual = eager.T.contiguous().T
    actual[7, 9] = 500
    report = budget_report("y", actual, eager, gold, BUDGET, "bfloat16")
    assert report.worst_index == (7, 9)
    assert report.outside == 1
