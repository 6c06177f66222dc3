"""Columns kept by the forward pass: all, some or none give the same, whatever their logits."""

import pytest
import torch
from three_paths import assert_like, draw, evaluate, on_path

from onetrip.core import tuning
from onetrip.core.selection import Problem
from onetrip.ops.linear_cross_entropy import select, triton_impl
from onetrip.ops.linear_cross_entropy.plan import padded
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
