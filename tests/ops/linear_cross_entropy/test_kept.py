"""Columns kept by the forward pass: all, some or none give the same, whatever their logits."""

import pytest
import torch
from three_paths import assert_like, draw, evaluate, on_path

from onetrip.core import tuning
from onetrip.core.selection import Problem
from onetrip.ops.linear_cross_entropy import select, triton_impl
from onetrip.ops.linear_cross_entropy.plan import MIN_KEPT_TILE, kept_rows, make_plan, padded
from onetrip.ops.linear_cross_entropy.reference import linear_cross_entropy_reference
from onetrip.testing.budget import BudgetExceededError

N, D, V = 24, 16, 700
# Narrow tiles, so that columns can be kept in part.
CONFIG = {
    **{"BLOCK_N": 32, "BLOCK_V": 64, "BLOCK_D": 64, "GROUP": 2, "CHUNK": 2},
    **{"num_warps": 4, "num_stages": 1, "columns": 256},
}
# Few rows, and logits in the hundreds: the largest error of plain torch is that of one element.
CHANCE = 4.0
WRT = ("input", "linear_weight", "linear_bias")
OPTIONS = {
    "plain": {},
    "scaled": {"logit_scale": 0.5, "reduction": "sum"},
    "finished": {"softcap": 5.0, "label_smoothing": 0.1, "z_loss": 0.1, "aux": ("entropy",)},
}


def plan_of(options, budget, dtype="float32", wrt=WRT):
    aux = {"entropy"} & set(options.get("aux", ())) | ({"lse"} if "z_loss" in options else set())
    asked = {**options, "aux": tuple(aux), "memory_budget": budget, "interpreter": True}
    problem = Problem({"N": N, "D": D, "V": V}, dtype, options=asked)
    return select.plan_for(
        "triton",
        problem,
        CONFIG,
        grad_input="input" in wrt,
        grad_weight="linear_weight" in wrt,
    )


def budget_that_keeps(share, options, dtype="float32"):
    """A budget with which all, some or none of the columns are kept."""
    wanted = {"all": range(padded(V), padded(V) + 1), "some": range(1, V), "none": range(1)}[share]
    budgets = [step << 10 for step in range(4, 1000)]
    found = [b for b in budgets if plan_of(options, b, dtype).kept in wanted]
    runs = [b for b in found if plan_of(options, b, dtype).workspace_bytes <= b]
    return runs[len(runs) // 2]


@pytest.fixture(autouse=True)
def _narrow_tiles():
    with tuning.override("linear_cross_entropy", "triton", CONFIG):
        yield


def reference(**options):
    def truth(**tensors):
        return linear_cross_entropy_reference(**tensors, **options)

    return truth


@pytest.mark.parametrize("share", ["all", "some", "none"])
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
def test_whatever_is_kept_the_result_is_right(share, name, dtype):
    options = OPTIONS[name]
    tensors = {k: v.to(dtype) if k in WRT else v for k, v in draw(N, D, V).items()}
    budget = budget_that_keeps(share, options, str(dtype).removeprefix("torch."))
    actual = evaluate(on_path("triton", **options, memory_budget=budget), tensors)
    assert_like(actual, reference(**options), tensors, widen=CHANCE)


@pytest.mark.parametrize("wrt", [("input",), ("linear_weight",), ("linear_bias",)], ids=" ".join)
@pytest.mark.parametrize("share", ["all", "some"])
def test_kept_columns_serve_one_gradient_alone(wrt, share):
    tensors = draw(N, D, V)
    budget = budget_that_keeps(share, {})
    assert plan_of({}, budget, wrt=wrt).kept > 0
    actual = evaluate(on_path("triton", memory_budget=budget), tensors, wrt)
    assert_like(actual, reference(), tensors, wrt, widen=CHANCE)


def far_below_the_maximum(nats):
    """Every third row's target lies so far below the row's largest logit."""
    tensors = draw(N, D, V)
    tensors["input"][:, 0] = 0.0
    tensors["input"][::3, 0] = float(nats)
    tensors["linear_weight"][:, 0] = 0.0
    tensors["linear_weight"][[5, 690], 0] = 1.0
    tensors["target"] = tensors["target"].clamp(min=0).where(torch.arange(N) % 7 > 0, -100)
    tensors["target"][tensors["target"] == 5] = 6
    tensors["target"][tensors["target"] == 690] = 6
    return tensors


@pytest.mark.parametrize("nats", [50, 58, 62, 75, 200, 3000], ids=str)
@pytest.mark.parametrize("share", ["all", "some"])
def test_rows_whose_target_is_far_below_the_maximum(nats, share):
    tensors = far_below_the_maximum(nats)
    actual = evaluate(on_path("triton", memory_budget=budget_that_keeps(share, {})), tensors)
    assert_like(actual, reference(), tensors, widen=CHANCE)


@pytest.mark.parametrize("share", ["all", "some"])
def test_without_mending_those_rows_would_be_wrong(share, monkeypatch):
    monkeypatch.setattr(triton_impl, "MAX_LIFT", 1e9)
    tensors = far_below_the_maximum(200)
    actual = evaluate(on_path("triton", memory_budget=budget_that_keeps(share, {})), tensors)
    with pytest.raises(BudgetExceededError, match="gradient of input"):
        assert_like(actual, reference(), tensors, widen=CHANCE)


@pytest.mark.parametrize("share", ["all", "some"])
def test_finished_columns_of_far_rows(share):
    """Not plain: kept exponentials become gradients tile by tile, from the mended reference."""
    options = {"z_loss": 1e-4}
    tensors = far_below_the_maximum(200)
    budget = budget_that_keeps(share, options)
    actual = evaluate(on_path("triton", **options, memory_budget=budget), tensors)
    assert_like(actual, reference(**options), tensors, widen=CHANCE)


def one_logit_of_200():
    """Every third row gives all its probability to one class, which is not its target."""
    tensors = far_below_the_maximum(0)
    tensors["input"][::3, 0] = 200.0
    tensors["linear_weight"][5, 0] = 1.0
    tensors["linear_weight"][690, 0] = -1.0
    return {k: v.half() if k in WRT else v for k, v in tensors.items()}


@pytest.mark.parametrize("share", ["all", "some"])
@pytest.mark.parametrize("name", OPTIONS)
def test_large_logits_are_kept_to_the_digits_of_a_probability(share, name):
    """Rounded to float16 as it is, a logit of 200 moves its probability by six in a hundred."""
    tensors = one_logit_of_200()
    budget = budget_that_keeps(share, OPTIONS[name], "float16")
    actual = evaluate(on_path("triton", **OPTIONS[name], memory_budget=budget), tensors)
    assert_like(actual, reference(**OPTIONS[name]), tensors, widen=CHANCE)


def test_logits_beyond_the_range_of_half_precision_are_kept():
    """A logit of 90,000 gives what one of 1,000 gives: all of the probability."""
    tensors = one_logit_of_200()
    budget = budget_that_keeps("all", {}, "float16")
    gradients = []
    for size in (1000.0, 90_000.0):
        tensors["input"][::3, 0] = size / 64
        tensors["linear_weight"][5, 0] = 64.0
        found = evaluate(on_path("triton", memory_budget=budget), tensors, ("linear_bias",))
        gradients.append(found.gradients["linear_bias"])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_bases_of_kept_logits_count_in_the_budget():
    rows = kept_rows(1000, stores_exponentials=False)
    assert (rows - 1000) * V >= 1000 * -(-V // MIN_KEPT_TILE)
    plans = [
        make_plan(
            **{"N": 1000, "D": D, "V": V, "dtype": "float16", "budget": 1 << 40},
            **{"grad_input": True, "grad_weight": True, "relative": False, "can_keep": True},
            **{"scratch_bytes": 2, "stores_exponentials": exponentials},
        )
        for exponentials in (True, False)
    ]
    more = plans[1].workspace_bytes - plans[0].workspace_bytes
    assert more == 2 * (rows - 1000) * padded(V)
