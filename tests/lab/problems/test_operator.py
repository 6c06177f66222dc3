"""Operators as problems: forward and backward, hidden sizes, every kind of contender."""

import pytest
import torch

from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.lab.problems.load import load_problem
from onetrip.lab.problems.operator import _other_sizes
from onetrip.lab.problems.problem import Contender, ProblemRef


def operator(workload, name="linear_cross_entropy", **options):
    return load_problem(ProblemRef("operator", name, {"workload": workload, **options}))


def test_gradients_are_outputs_and_incoming_ones_inputs():
    problem = operator("everything")
    case = problem.cases[0]
    inputs = problem.inputs(case, 1, "cpu")
    assert {name for name in inputs if name.startswith("grad_")} == {
        "grad_loss",
        "grad_logprob",
        "grad_lse",
        "grad_entropy",
    }
    assert not (inputs["grad_loss"] == 1).any()
    outputs = {output.name: output for output in problem.outputs(case)}
    assert outputs["argmax"].dtype == "int64"
    assert outputs["grad_linear_weight"].shape == (145, 32)
    eager = problem.eager(case, None, inputs)
    assert {name: (tuple(t.shape), str(t.dtype)[6:]) for name, t in eager.items()} == {
        name: (output.shape, output.dtype) for name, output in outputs.items()
    }


def test_seeds_change_every_value():
    problem = operator("ragged")
    first, other = (problem.inputs(problem.cases[0], seed, "cpu") for seed in (1, 2))
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("workload", ["ragged", "half", "rl"])
def test_definition_is_within_its_budget_and_coarse_results_are_not(verdict_of, workload):
    problem = operator(workload)
    for case in problem.cases:
        assert verdict_of(problem, case=case) == {}

    def without_one_gradient(outputs):
        outputs["grad_linear_weight"].zero_()
        return outputs

    assert list(verdict_of(problem, without_one_gradient)) == ["grad_linear_weight"]

    def missing(outputs):
        del outputs["grad_input"]
        return outputs

    assert "was not returned" in verdict_of(problem, missing)["grad_input"]


def test_every_kind_of_contender_steps_alike(verdict_of):
    problem = operator("ragged")
    case = problem.cases[1]
    inputs = problem.inputs(case, 3, "cpu")
    contenders = {
        "definition": Contender("definition"),
        "config": Contender("config", impl="torch", config={"rows": 64, "columns": 4096}),
        "peer": Contender("peer", impl="eager"),
    }
    for name, contender in contenders.items():
        outputs = {
            output.name: torch.full(output.shape, torch.nan, dtype=getattr(torch, output.dtype))
            for output in problem.outputs(case)
        }
        problem.step(case, contender)(inputs, outputs)
        assert verdict_of(problem, lambda _, done=outputs: done, case) == {}, name
    with pytest.raises(UnsupportedError, match="sources are run"):
        problem.step(case, Contender("source", source="x"))
    with pytest.raises(ArgumentError, match="peer"):
        problem.step(case, Contender("peer", impl="nobody"))


def test_peers_are_those_that_can_run_the_workload():
    peers = operator("ragged").peers()
    assert peers["eager"].kind in ("definition", "peer")
    assert peers["auto"].kind == "config"
    assert "torch-chunked" in peers
    # Nobody else's has all of its options.
    assert set(operator("everything").peers()) == {"eager", "auto"}


def test_hidden_sizes_are_other_and_as_aligned():
    assert _other_sizes({"N": 8192, "D": 2304, "V": 256000}, 400) == {"N": 397, "D": 376, "V": 376}
    assert _other_sizes({"N": 1, "D": 16, "V": 33}, 400) == {"N": 1, "D": 16, "V": 31}
    problem = operator("ragged")
    assert [case.hidden for case in problem.cases] == [False, True, True]
    assert len(operator("ragged", hidden=False).cases) == 1
    assert str(problem.cases[1].arguments["V"]) not in problem.brief
    assert "2 more cases of other sizes must be right." in problem.brief


def test_forward_alone():
    problem = operator("ragged", backward=False)
    assert problem.name == "linear_cross_entropy/ragged/forward"
    assert [output.name for output in problem.outputs(problem.cases[0])] == ["loss"]
    costs = [one.cost(problem.cases[0]) for one in (problem, operator("ragged"))]
    assert [cost and cost.flops for cost in costs] == [2 * 67 * 40 * 143, 6 * 67 * 40 * 143]


def test_fingerprint_follows_the_work():
    found = {
        operator("ragged").fingerprint,
        operator("ragged", backward=False).fingerprint,
        operator("ragged", hidden=False).fingerprint,
        operator("prime").fingerprint,
    }
    assert len(found) == 4
    assert operator("ragged").fingerprint in found


def test_unknown_names_are_refused():
    with pytest.raises(ArgumentError, match="options"):
        operator("ragged", impl="torch")
    with pytest.raises(ArgumentError, match="workload"):
        operator("nothing")
    with pytest.raises(ArgumentError, match="kind"):
        load_problem(ProblemRef("riddle", "x"))
    with pytest.raises(UnsupportedError, match="judge_run"):
        load_problem(ProblemRef("run", "x"))


def test_toy_operator_is_a_problem_too(toy, verdict_of):
    problem = operator("small", name=toy)
    assert [output.name for output in problem.outputs(problem.cases[0])] == ["y", "grad_x"]
    assert verdict_of(problem) == {}
    wrong = Contender("config", impl="torch", config={"size": 1, "unroll": 1, "defect": 2})
    case = problem.cases[0]
    inputs = problem.inputs(case, 3, "cpu")
    outputs = {name: torch.empty_like(inputs["x"]) for name in ("y", "grad_x")}
    problem.step(case, wrong)(inputs, outputs)
    assert list(verdict_of(problem, lambda _: outputs)) == ["grad_x"]
