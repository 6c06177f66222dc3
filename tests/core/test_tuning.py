"""What a tuning table lets every operator run, by one rule."""

import pytest

from onetrip.core import tuning
from onetrip.core.estimate import estimate
from onetrip.core.operators import load_spec, operator_module, operator_names
from onetrip.core.selection import Problem

DEVICE = "some device"


@pytest.fixture(params=operator_names())
def operator(request, tmp_path, monkeypatch):
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))
    tuning.forget_tables()
    yield request.param
    tuning.forget_tables()


@pytest.fixture
def problem(operator):
    smallest = operator_module(operator, "workloads").WORKLOADS[0]
    return Problem(smallest.axes, "float32", device_name=DEVICE, options=smallest.options)


def record(operator, problem, impl, config):
    entry = tuning.TunedEntry(
        operator, DEVICE, impl, "float32", problem.axes, config, 1.0, 2.0, "a test"
    )
    tuning.record_winner(tuning.user_table(operator, DEVICE), entry)


def test_winner_is_chosen_with_its_evidence(operator, problem):
    select = operator_module(operator, "select")
    assert select.choose(problem).impl == "torch"
    record(operator, problem, "reference", {})
    choice = select.choose(problem)
    assert (choice.impl, choice.config, choice.evidence) == ("reference", {}, "a test")
    assert "nearest recorded problem" in choice.why
    with tuning.ignore_tables():
        assert select.choose(problem).impl == "torch"


def test_winner_that_cannot_run_here_is_passed_over(operator, problem):
    select = operator_module(operator, "select")
    own = select.choose(problem)
    record(operator, problem, "triton", select.default_config("triton", problem))
    assert select.choose(problem) == own


def test_override_is_heard_before_the_winner(operator, problem):
    select = operator_module(operator, "select")
    asked = {name: value + 1 for name, value in select.default_config("torch", problem).items()}
    record(operator, problem, "torch", {})
    with tuning.override(operator, "torch", asked):
        assert select.choose(problem).config == asked


@pytest.mark.parametrize(
    ("operator", "dtype", "options"),
    [
        ("hdbscan", "float32", {"min_samples": 100}),
        ("multinomial_nb", "float64", {}),
        ("truncated_svd", "float64", {}),
        ("tsne", "float64", {}),
    ],
)
def test_torch_on_a_gpu_has_a_floor_only(operator, dtype, options):
    """Kernels were measured on an H100; what they do not take was not."""
    sizes = {"N": 1000, "D": 8, "C": 4, "K": 4}
    axes = {letter: sizes[letter] for letter in load_spec(operator).axes}
    known, beyond = (
        estimate(operator, dtype=asked, options=more, **axes)
        for asked, more in (("float32", {}), (dtype, options))
    )
    assert (known.choice.impl, known.has_floor_only) == ("triton", False)
    assert (beyond.choice.impl, beyond.has_floor_only) == ("torch", True)
    elsewhere = estimate(operator, device="a100", dtype="float32", **axes)
    assert (elsewhere.choice.impl, elsewhere.has_floor_only) == ("triton", True)
