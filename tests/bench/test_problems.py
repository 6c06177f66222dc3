"""From the name of a problem to its data."""

import pytest
import torch

from onetrip.bench import problems
from onetrip.bench.problems import TrainedProblem, problem_names, resample_rows, resolve
from onetrip.bench.recording import record
from onetrip.bench.stdlib_lm import LmConfig, stdlib_lm
from onetrip.core import recording
from onetrip.core.errors import ArgumentError, DataError
from onetrip.core.operators import load_spec
from onetrip.core.workload import Workload
from onetrip.ops.linear_cross_entropy.reference import linear_cross_entropy_reference, make_inputs

OPERATOR = "linear_cross_entropy"
AXES = {"N": 300, "D": 16, "V": 50}


@pytest.fixture(params=[True, False], ids=["tensors", "axes only"])
def recorded(request, tmp_path):
    path = tmp_path / "run.otrec"
    optional = ("token_weight",)
    given = make_inputs(AXES, dtype=torch.bfloat16, seed=5, optional_inputs=optional)
    with record(path, tensors=request.param):
        recording.note(OPERATOR, given, {"softcap": 7.0, "memory_budget": 2**20})
    return path, given, request.param


def loss_of(inputs):
    doubled = {name: t.double() if t.is_floating_point() else t for name, t in inputs.items()}
    return linear_cross_entropy_reference(**doubled).item()


def test_named_workload():
    problem = resolve(OPERATOR, "everything")
    inputs = problem.inputs(seed=3)
    assert inputs.keys() == {
        "input",
        "linear_weight",
        "target",
        "linear_bias",
        "weight",
        "token_weight",
    }
    assert inputs["input"].shape == (45, 32)
    assert problem.workload.options["softcap"] == 5.0
    assert torch.equal(problem.inputs(seed=3)["input"], inputs["input"])
    assert not torch.equal(problem.inputs(seed=4)["input"], inputs["input"])


@pytest.mark.parametrize("dtype", ["float64", torch.float64])
def test_dtype_replaces_the_workloads(dtype):
    assert resolve(OPERATOR, "half").inputs(0)["input"].dtype == torch.float16
    assert resolve(OPERATOR, "half").inputs(0, dtype=dtype)["input"].dtype == torch.float64


def test_default_is_the_trained_head_and_resolving_trains_nothing():
    assert problem_names(OPERATOR)[0] == "stdlib-lm"
    assert resolve(OPERATOR).workload.axes == {"N": 2048, "D": 256, "V": 8192}


@pytest.mark.parametrize("name", problem_names(OPERATOR))
def test_every_name_resolves(name):
    assert resolve(OPERATOR, name).workload.name == name


def test_unknown_names():
    with pytest.raises(ArgumentError, match=r"`workload` must be one of .*'gpt3'"):
        resolve(OPERATOR, "gpt3")
    with pytest.raises(ArgumentError, match="`operator`"):
        resolve("quantum_sort")
    with pytest.raises(ArgumentError, match="left out when `recorded`"):
        resolve(OPERATOR, "ragged", recorded="run.otrec")


def test_recorded_problem(recorded):
    path, given, with_tensors = recorded
    problem = resolve(OPERATOR, recorded=path)
    assert problem.workload.axes == AXES
    assert problem.workload.dtype == "bfloat16"
    assert problem.workload.options == {"softcap": 7.0}
    inputs = problem.inputs(seed=1)
    assert {name: (t.shape, t.dtype) for name, t in inputs.items()} == {
        name: (t.shape, t.dtype) for name, t in given.items()
    }
    assert torch.equal(inputs["linear_weight"], given["linear_weight"]) == with_tensors
    assert problem.inputs(0, dtype="float32")["input"].dtype == torch.float32


def test_recorded_values_are_other_for_each_seed_and_the_same_for_one(recorded):
    path, given, _ = recorded
    problem = resolve(OPERATOR, recorded=str(path))
    losses = [loss_of(problem.inputs(seed)) for seed in (0, 1, 2, 0)]
    assert losses[0] == losses[3]
    assert len({*losses, loss_of(given)}) == 4


def test_resampled_rows_stay_whole_and_near_the_recorded_ones():
    given = make_inputs(AXES, dtype=torch.float32, optional_inputs=("token_weight", "weight"))
    given["target"] = torch.arange(300)
    drawn = resample_rows(load_spec(OPERATOR), given, torch.Generator().manual_seed(0))
    row = drawn["target"]
    assert not torch.equal(row, given["target"])
    # Neighbours stay neighbours but where a run of 64 ends.
    assert (row[1:] - row[:-1] == 1).sum() >= 300 - 1 - 4
    ratio = drawn["input"] / given["input"][row]
    assert (ratio - 1).abs().max() <= 2**-6 + 1e-6
    torch.testing.assert_close(ratio, ratio[:, :1].expand(300, 16))
    torch.testing.assert_close(drawn["token_weight"], given["token_weight"][row] * ratio[:, 0])
    assert torch.equal(drawn["weight"], given["weight"])


@pytest.mark.parametrize("n", [0, 1, 63, 65])
def test_resampling_keeps_any_shape(n):
    given = make_inputs(AXES | {"N": n}, dtype=torch.float16)
    drawn = resample_rows(load_spec(OPERATOR), given, torch.Generator())
    assert {name: (t.shape, t.dtype) for name, t in drawn.items()} == {
        name: (t.shape, t.dtype) for name, t in given.items()
    }


def test_heaviest_call_is_chosen(tmp_path):
    path = tmp_path / "run.otrec"
    with record(path):
        for axes, times in (({"N": 40}, 1), ({"N": 8}, 3), ({"N": 20}, 3)):
            for _ in range(times):
                recording.note(OPERATOR, make_inputs(AXES | axes, dtype=torch.float32), {})
    assert resolve(OPERATOR, recorded=path).workload.axes["N"] == 20
    assert resolve(OPERATOR, recorded=path, call=0).workload.axes["N"] == 40
    with pytest.raises(ArgumentError, match="`call` must be between 0 and 2"):
        resolve(OPERATOR, recorded=path, call=3)


def test_recording_without_the_operator(tmp_path):
    path = tmp_path / "run.otrec"
    with pytest.warns(UserWarning, match="No onetrip operator"), record(path):
        pass
    with pytest.raises(DataError, match="no call of linear_cross_entropy"):
        resolve(OPERATOR, recorded=path)


@pytest.fixture
def tiny_head(monkeypatch, tmp_path, small_corpus):
    """The head of a model that trains for two steps."""
    config = LmConfig(
        vocab=300, layers=1, width=16, heads=1, context=32, batch=2, epochs=1e-4, seconds=1e9
    )

    def train(config, *, progress):
        return stdlib_lm(config, folder=tmp_path / "lm", root=small_corpus, progress=progress)

    monkeypatch.setattr(problems, "stdlib_lm", train)
    workload = Workload("tiny", {"N": 100, "D": 16, "V": 300}, "float32", frozenset(), why="test")
    return TrainedProblem(config, workload)


def test_trained_problem(tiny_head):
    pytest.importorskip("tokenizers")
    stages = []
    tiny_head.prepare(lambda stage, done: stages.append(stage))
    assert stages
    inputs = tiny_head.inputs(seed=0)
    assert inputs["input"].shape == (100, 16)
    assert inputs["linear_weight"].shape == (300, 16)
    assert inputs["target"].shape == (100,)
    assert loss_of(inputs) != loss_of(tiny_head.inputs(seed=1))
