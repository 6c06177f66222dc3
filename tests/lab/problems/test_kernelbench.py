"""Problem files in KernelBench's format."""

import pytest
import torch

from onetrip.core.errors import ArgumentError, DataError

LAYER = """
import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, width, wide):
        super().__init__()
        self.linear = nn.Linear(width, wide)
        self.register_buffer("scale", torch.ones(wide))

    def forward(self, x):
        return torch.relu(self.linear(x)) * self.scale.half().float()


batch = 16
width = 8
wide = 12


def get_inputs():
    return [torch.randn(batch, width).cuda()]


def get_init_inputs():
    return [width, wide]
"""


def test_file_is_read_as_it_is(kernelbench, verdict_of):
    problem = kernelbench(LAYER)
    (case,) = problem.cases
    assert (problem.name, case.name, case.timed) == ("layer", "as written", True)
    assert (problem.entry.function, problem.entry.convention) == ("ModelNew", "model")
    assert [(o.name, o.shape, o.dtype) for o in problem.outputs(case)] == [
        ("output", (16, 12), "float32")
    ]
    assert "get_init_inputs" in problem.brief
    torch.manual_seed(4)
    before = torch.get_rng_state()
    kernelbench(LAYER).outputs(case)
    assert torch.equal(torch.get_rng_state(), before), "looking at shapes draws from nobody's seed"
    assert verdict_of(problem) == {}


def test_parameters_and_data_follow_their_seeds(kernelbench):
    problem = kernelbench(LAYER)
    (case,) = problem.cases
    init, state = problem.setup(case, 1, "cpu")
    assert init == [8, 12]
    assert set(state) == {"linear.weight", "linear.bias", "scale"}
    assert torch.equal(problem.setup(case, 1, "cpu")[1]["linear.weight"], state["linear.weight"])
    other = problem.setup(case, 2, "cpu")[1]
    assert not torch.equal(other["linear.weight"], state["linear.weight"])
    first, second = (problem.inputs(case, seed, "cpu")[0] for seed in (1, 2))
    assert not torch.equal(first, second)


def test_the_states_parameters_are_used_and_not_the_models_own(kernelbench):
    problem = kernelbench(LAYER)
    (case,) = problem.cases
    (x,) = inputs = problem.inputs(case, 1, "cpu")
    init, state = problem.setup(case, 1, "cpu")
    found = problem.eager(case, (init, state), inputs)["output"]
    expected = torch.relu(x @ state["linear.weight"].T + state["linear.bias"])
    torch.testing.assert_close(found, expected)
    doubled = {name: 2 * tensor for name, tensor in state.items()}
    assert not torch.equal(problem.eager(case, (init, doubled), inputs)["output"], found)


def test_model_is_built_once_unless_a_call_may_change_it(kernelbench):
    """It is timed beside candidates, whose model is not built in the clock either."""
    count = "class Model(nn.Module):\n    built = 0\n"
    counting = LAYER.replace("class Model(nn.Module):\n", count).replace(
        "super().__init__()", "super().__init__()\n        Model.built += 1"
    )
    plain = counting.replace('self.register_buffer("scale", torch.ones(wide))', "")
    plain = plain.replace(" * self.scale.half().float()", "")
    for source, builds in ((plain, 1), (counting, 3)):
        problem = kernelbench(source)
        (case,) = problem.cases
        setup, inputs = problem.setup(case, 1, "cpu"), problem.inputs(case, 1, "cpu")
        first = problem.eager(case, setup, inputs)
        before = problem._module(case, "cpu").Model.built
        again = [problem.eager(case, setup, inputs) for _ in range(3)]
        made = problem._module(case, "cpu").Model.built - before
        assert made == (0 if builds == 1 else builds)
        assert all(torch.equal(one["output"], first["output"]) for one in again)


def test_truth_is_float64_in_every_line(kernelbench):
    problem = kernelbench(LAYER)
    (case,) = problem.cases
    (x,) = inputs = problem.inputs(case, 1, "cpu")
    setup = problem.setup(case, 1, "cpu")
    truth = problem.truth(case, setup, inputs)["output"]
    wide = {name: tensor.double() for name, tensor in setup[1].items()}
    expected = torch.relu(x.double() @ wide["linear.weight"].T + wide["linear.bias"])
    assert truth.dtype == torch.float64
    torch.testing.assert_close(truth, expected, rtol=1e-14, atol=1e-15)


def test_other_sizes_are_verified_too(kernelbench, verdict_of):
    problem = kernelbench(LAYER, sizes=[{"batch": 3}, {"wide": 5}], timed={"batch": 4})
    assert [(case.name, case.timed) for case in problem.cases] == [
        ("batch=4", True),
        ("batch=3", False),
        ("wide=5", False),
    ]
    shapes = [problem.outputs(case)[0].shape for case in problem.cases]
    assert shapes == [(4, 12), (3, 12), (16, 5)]
    for case in problem.cases:
        assert verdict_of(problem, case=case) == {}
        failed = verdict_of(problem, lambda out: {"output": out["output"].bfloat16().float()}, case)
        assert list(failed) == ["output"]
    assert problem.fingerprint != kernelbench(LAYER).fingerprint


def test_cost_of_the_files_own_sizes(kernelbench):
    estimate = (
        "\ndef estimate_cost(batch, wide):\n"
        "    return {'flops': batch, 'bytes_read': wide, 'bytes_written': 1}\n"
    )
    problem = kernelbench(LAYER + estimate, sizes=[{"batch": 3}])
    assert [problem.cost(case).flops for case in problem.cases] == [16, 3]
    assert kernelbench(LAYER).cost(problem.cases[0]) is None


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ("x = 1", {}, DataError, "Model, get_inputs, get_init_inputs"),
        (LAYER, {"sizes": [{"depth": 3}]}, DataError, "no constant depth"),
        (LAYER, {"sizes": {"batch": 3}}, ArgumentError, "sizes"),
        (LAYER, {"timed": [3]}, ArgumentError, "timed"),
        (LAYER, {"judge": "own"}, ArgumentError, "options"),
    ],
)
def test_what_is_wrong_is_said(kernelbench, source, options, error, message):
    def read():
        problem = kernelbench(source, **options)
        return [problem.inputs(case, 1, "cpu") for case in problem.cases]

    with pytest.raises(error, match=message):
        read()
