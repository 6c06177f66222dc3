"""The problems that ship: they stand, the naive submissions are right, and decoding is judged."""

import importlib.util
import shutil
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from onetrip.lab.agents import row_softmax_cpu
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.facts import facts_of
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.problems.run import judge_run
from onetrip.lab.problems.screen import screen
from onetrip.lab.problems.wide import copied


def custom_kernel(problem, source):
    """The function of a submission, which imports the problem's own files."""
    with problem._running("cpu"):
        names: dict[str, Any] = {"__name__": "submission"}
        exec(compile(source, "submission.py", "exec"), names)
    return names["custom_kernel"]


@pytest.mark.parametrize("name", ["row_softmax", "vectoradd"])
def test_naive_submission_is_right_on_every_case(example, verdict_of, name):
    problem = example(name)
    source = (problem._folder / "submission.py").read_text("utf-8")
    kernel = custom_kernel(problem, source)
    for case in problem.cases:
        result = kernel(copied(problem.inputs(case, 3, "cpu")))
        assert verdict_of(problem, lambda _, done=result: {"output": done}, case) == {}, case.name


@pytest.mark.parametrize("name", ["row_softmax", "vectoradd"])
def test_folder_stands_and_has_a_floor(example, name):
    problem = example(name)
    found = screen(problem)
    assert found.refused == ""
    assert len(found.cases) == len(problem.cases)
    assert problem.deterministic
    for case in problem.cases:
        (output,) = problem.outputs(case)
        elements = torch.Size(output.shape).numel()
        assert problem.cost(case).bytes_written == 4 * elements
    device = example(name, task="task_device.yml")
    assert device.name == f"{name}/device"
    assert device.fingerprint != problem.fingerprint


def test_steps_of_the_scripted_agent_are_right_but_for_the_one_that_overflows(example, verdict_of):
    problem = example("row_softmax")
    wrong = set()
    for step in row_softmax_cpu.STEPS:
        kernel = custom_kernel(problem, step.source)
        for case in problem.cases:
            result = kernel(problem.inputs(case, 3, "cpu").clone())
            if verdict_of(problem, lambda _, done=result: {"output": done}, case):
                wrong.add(step.title)
    assert wrong == {"Without the largest value"}


def test_model_file_stands_and_its_submission_is_right(example, verdict_of):
    problem = example("gelu_linear.py", "kernelbench", sizes=[{"batch_size": 3}])
    assert screen(problem).refused == ""
    assert problem.cost(problem.cases[0]).flops == 2 * 64 * 256 * 512
    source = problem._path.with_name("gelu_linear_submission.py").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(compile(source, "submission.py", "exec"), names)
    for case in problem.cases:
        init, state = problem.setup(case, 3, "cpu")
        model = names["ModelNew"](*init)
        model.load_state_dict(state)
        with torch.no_grad():
            result = model(*problem.inputs(case, 3, "cpu"))
        assert verdict_of(problem, lambda _, done=result: {"output": done}, case) == {}


@pytest.fixture(scope="module")
def decode(request):
    """The decoding example as a module."""
    pytest.importorskip("transformers", reason="decoding needs transformers")
    folder = request.path.parents[3] / "examples" / "problems" / "decoding"
    spec = importlib.util.spec_from_file_location("decode_example", folder / "decode.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["decode_example"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["decode_example"]


PLAIN = {
    "batch": 2,
    "cache": "dynamic",
    "cache_dtype": "float32",
    "compile": False,
    "assistant": "none",
    "guesses": 4,
    "threads": 1,
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"cache": "none"},
        {"cache": "static"},
        {"assistant": "prompt lookup"},
        {"assistant": "draft model", "batch": 1, "guesses": 2},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_ways_of_decoding_choose_the_same_tokens(decode, change):
    found = decode.run({**PLAIN, **change}, seed=5)
    assert found["tokens_per_s"] > 0
    assert found["logit_gap"] <= 1e-3


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_narrow_cache_and_wrong_tokens_show_in_the_gap(decode):
    narrow = decode.run({**PLAIN, "cache_dtype": "bfloat16", "batch": 4}, seed=1)
    assert narrow["logit_gap"] > 1e-3
    whole = decode.run({**PLAIN, "batch": 4}, seed=1)
    assert narrow["cache_bytes"] == whole["cache_bytes"] / 2
    with torch.inference_mode():
        prompts = torch.randint(0, decode.VOCABULARY, (1, decode.PROMPT))
        tokens, _ = decode.decoded(prompts, PLAIN, "cpu")
        assert float(decode.logit_gaps(tokens, "cpu").max()) <= 1e-3
        tokens[0, -3] = (tokens[0, -3] + 1) % decode.VOCABULARY
        assert float(decode.logit_gaps(tokens, "cpu").max()) > 0.1


@pytest.mark.slow
def test_decoding_is_judged_beside_its_baseline(decode, request, tmp_path):
    """In processes of its own; with fewer repeats than the file asks, for the test's sake."""
    source = request.path.parents[3] / "examples" / "problems" / "decoding"
    place = tmp_path / "decoding"
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    text = (place / "run.toml").read_text("utf-8")
    (place / "run.toml").write_text(text.replace("repeats = 5", "repeats = 3"), "utf-8")
    ref = ProblemRef("run", str(place), {"batch": 1})
    facts = facts_of(ref)
    assert facts.name == "greedy_decoding/batch=1"
    job = TrialJob(ref, Contender("config", config={"cache": "none"}), seed=9, seconds=200.0)
    verdict = judge_run(job)
    assert verdict.outcome == "done", verdict.reason
    assert {metric.name for metric in verdict.metrics} >= {"tokens_per_s", "logit_gap"}
    assert verdict.against("baseline") is not None
    narrow = Contender("config", config={"cache_dtype": "bfloat16", "batch": 1})
    refused = judge_run(replace(job, candidate=narrow))
    assert refused.outcome == "crashed"
    assert "batch" in refused.reason
