import json
from typing import Any

import pytest
import torch

from onetrip.bench import side_by_side
from onetrip.bench.problems import resolve
from onetrip.bench.side_by_side import BOTH, FORWARD, Contender, compare, ours
from onetrip.core.device import Device
from onetrip.core.errors import UnsupportedError
from onetrip.testing.contract import Case, load_operator

OPERATOR = load_operator("linear_cross_entropy")
PROBLEM = resolve("linear_cross_entropy", "ragged")
CASE = Case(OPERATOR, "reference", PROBLEM.workload, torch.device("cpu"))
CEILINGS = Device("cpu", "cpu", 0, {"float32": 0.5}, 10.0, 1 << 34, True, "planted")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(side_by_side, "measure_ceilings", lambda *args, **keywords: CEILINGS)


def contender(name, call, impl=""):
    return Contender(name, impl, "1.0", lambda: call)


def wrong_gradient(input, linear_weight, target):
    loss: Any = OPERATOR.reference(input, linear_weight, target)
    return loss + 0.01 * (linear_weight.sum() - linear_weight.sum().detach())


def refuses(**inputs):
    raise UnsupportedError("needs N to be a multiple of 8")


def runs_out_of_memory(**inputs):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")


def missing():
    raise UnsupportedError("is not installed here")


@pytest.fixture(scope="module")
def comparison():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "measure_ceilings", lambda *args, **keywords: CEILINGS)
        return compare(
            CASE,
            PROBLEM,
            [
                *ours(CASE, ("torch",)),
                contender("eager", OPERATOR.reference),
                contender("wrong", wrong_gradient),
                contender("refuses", refuses),
                contender("too large", runs_out_of_memory),
                Contender("missing", "", "", missing),
            ],
            samples=6,
            seconds_each=0.5,
        )


def row_of(comparison, name, passes=BOTH):
    (row,) = (r for r in comparison.rows if (r["contender"], r["passes"]) == (name, passes))
    return row


def test_every_contender_has_a_row_for_each_pass(comparison):
    assert len(comparison.rows) == 6 * 2
    assert {row["passes"] for row in comparison.rows} == {FORWARD, BOTH}


def test_sound_contenders_are_done_with_times_memory_and_errors(comparison):
    for name in ("onetrip-torch", "eager"):
        row = row_of(comparison, name)
        assert (row["outcome"], row["within_budget"]) == ("done", True)
        assert 0 < row["worst_share"] <= 1
        assert set(row["errors"]) == {"loss", "gradient of input", "gradient of linear_weight"}
        times = row["latency_ms"]
        assert 0 < times["low"] <= times["median"] <= times["high"]
        assert len(times["samples"]) == 6
    assert row_of(comparison, "eager")["peak_bytes"] >= 67 * 143 * 4


def test_a_wrong_gradient_is_incorrect_and_names_its_tensor(comparison):
    row = row_of(comparison, "wrong")
    assert (row["outcome"], row["within_budget"]) == ("incorrect", False)
    assert row["worst_share"] > 1
    assert row["errors"]["loss"]["within"]
    assert not row["errors"]["gradient of linear_weight"]["within"]
    assert "exceeds its budget" in row["errors"]["gradient of linear_weight"]["message"]


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("refuses", "unsupported", "multiple of 8"),
        ("too large", "out_of_memory", "9 GiB"),
        ("missing", "unsupported", "not installed"),
    ],
)
def test_what_does_not_run_says_why_and_has_no_time(comparison, name, outcome, reason):
    for passes in (FORWARD, BOTH):
        row = row_of(comparison, name, passes)
        assert row["outcome"] == outcome
        assert reason in row["reason"]
        assert "latency_ms" not in row


def test_ours_is_compared_with_every_other_that_ran(comparison):
    row = row_of(comparison, "onetrip-torch")
    assert set(row["speedups"]) == {"eager", "wrong"}
    for speedup in row["speedups"].values():
        assert speedup["low"] <= speedup["median"] <= speedup["high"]
        assert speedup["pairs"] == 6
    assert "speedups" not in row_of(comparison, "eager")


def test_rows_carry_floor_ceilings_environment_and_are_json(comparison):
    row = row_of(comparison, "eager")
    cost = OPERATOR.estimate_cost(**PROBLEM.workload.axes, dtype="float32", backward=True)
    assert row["floor_ms"] == cost.floor_ms(CEILINGS, "float32")
    assert row["ceilings"]["bandwidth_gbps"] == 10.0
    assert row["environment"]["torch"] == torch.__version__
    assert row["command"]
    assert json.loads(json.dumps(comparison.rows, allow_nan=False))


def test_backward_is_timed_where_asked_and_only_there():
    seen = []

    def watches(input, linear_weight, target):
        seen.append((torch.is_grad_enabled(), input.requires_grad))
        return OPERATOR.reference(input, linear_weight, target)

    compare(
        CASE, PROBLEM, [contender("a", watches)], passes=(FORWARD,), samples=2, seconds_each=0.1
    )
    # The gate first, with gradients; then inference alone.
    assert seen[0] == (True, True)
    assert set(seen[1:]) == {(False, False)}


def test_budgets_and_auto_make_contenders():
    names = [c.name for c in ours(CASE, ("auto", "torch"), (1 << 20, 3 << 29))]
    assert names == [f"onetrip-torch@{size}" for size in ("1MiB", "1.5GiB")] * 2
    loaded = ours(CASE, ("torch",), (1 << 20,))[0].load()
    inputs = PROBLEM.inputs(0, "cpu")
    torch.testing.assert_close(loaded(**inputs), OPERATOR.reference(**inputs))
