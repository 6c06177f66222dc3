"""Folders in the format of gpu-mode's reference kernels, read as they are."""

import subprocess
import sys

import pytest
import torch

from onetrip.core.cost import Cost
from onetrip.core.errors import ArgumentError, DataError, UnsupportedError
from onetrip.lab.problems.problem import Contender


def replaced(text, *pairs):
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    return text


def test_folder_is_read_as_it_is(folder):
    problem = folder()
    assert problem.name == "small"
    assert [(case.name, case.timed) for case in problem.cases] == [
        ("test size=33", False),
        ("benchmark size=64", True),
    ]
    entry = problem.entry
    assert (entry.function, entry.convention, entry.written) == ("custom_kernel", "data", ())
    # eval.py is a harness and submission.py an answer: neither is the candidate's to import.
    assert sorted(entry.files) == ["reference.py", "task.py", "utils.py"]
    (output,) = problem.outputs(problem.cases[1])
    assert (output.name, output.shape, output.dtype) == ("output", (64, 64), "float16")
    assert "A small problem." in problem.brief
    assert "custom_kernel(data)" in problem.brief
    assert "4242" not in str([case.arguments for case in problem.cases])


def test_inputs_follow_the_secret_seed_and_not_the_files(folder):
    problem = folder()
    case = problem.cases[0]
    first, again = (problem.inputs(case, 2**63 + 5, "cpu") for _ in range(2))
    other = problem.inputs(case, 6, "cpu")
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_global_generator_is_seeded_and_given_back(folder, verdict_of):
    reference = """
import torch

def ref_kernel(data):
    return data * 2

def generate_input(size):
    return torch.randn(size, size)
"""
    problem = folder(reference, types=None)
    case = problem.cases[0]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, other = problem.inputs(case, 1, "cpu"), problem.inputs(case, 2, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, other)
    assert verdict_of(problem) == {}


def test_truth_is_float64_whatever_the_definition_says(folder, verdict_of):
    problem = folder()
    case = problem.cases[0]
    inputs = problem.inputs(case, 3, "cpu")
    truth = problem.truth(case, None, inputs)["output"]
    assert truth.dtype == torch.float64
    assert torch.equal(truth, inputs[0].double() + inputs[1].double())
    assert problem.tolerance["truth"] == "the definition in float64"
    assert verdict_of(problem) == {}


def test_wrong_element_is_refused_by_budget_and_by_the_folder(folder, verdict_of):
    def spoilt(outputs):
        outputs["output"][3, 4] += 0.5
        return outputs

    failed = verdict_of(folder(), spoilt)
    assert sorted(failed) == ["check_implementation", "output"]
    assert "[3, 4]" in failed["output"]
    assert "[3, 4]" in failed["check_implementation"]


def test_what_only_the_budget_sees(folder, verdict_of):
    """Its own tolerance is one in a hundred; the error budget is four times plain torch's."""

    def coarse(outputs):
        return {"output": (outputs["output"].float() * 1.008).half()}

    assert list(verdict_of(folder(), coarse)) == ["output"]
    alone = folder(judge="own")
    assert verdict_of(alone, coarse) == {}
    assert alone.tolerance == {"own check": "check_implementation alone decides"}
    assert alone.fingerprint != folder().fingerprint


@pytest.mark.parametrize(
    "answer",
    ["return 'wrong' if bad else ''", "return not bad, 'wrong'", "return not bad",
     "assert not bad, 'wrong'"],
)  # fmt: skip
def test_own_check_may_answer_in_every_way(folder, verdict_of, answer):
    reference = f"""
import torch

def ref_kernel(data):
    return data + 1

def generate_input(size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))

def check_implementation(data, output):
    bad = not torch.equal(output, data + 1)
    {answer}
"""
    problem = folder(reference, types=None)
    assert verdict_of(problem) == {}
    failed = verdict_of(
        problem, lambda outputs: {"output": outputs["output"].nextafter(outputs["output"] + 1)}
    )
    assert list(failed) == ["check_implementation"]


def test_definition_tied_to_its_dtype_is_truth_in_that_dtype(folder, verdict_of):
    reference = """
import torch

def ref_kernel(data):
    if data.dtype != torch.float16:
        raise ValueError("only half")
    return data * 3

def generate_input(size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).half()
"""
    problem = folder(reference, types=None)
    assert "in float64 it raises ValueError: only half" in problem.tolerance["truth"]
    assert verdict_of(problem) == {}
    assert "output" in verdict_of(problem, lambda outputs: {"output": outputs["output"] * 1.02})


def test_numpy_in_the_middle_is_noticed(folder):
    reference = """
import torch

def ref_kernel(data):
    return torch.from_numpy((data.numpy() * 3).astype("float32"))

def generate_input(size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))
"""
    problem = folder(reference, types=None)
    assert "`output` stays float32" in problem.tolerance["truth"]


def test_output_that_is_handed_in_may_be_written(folder, verdict_of):
    reference = """
import torch

def ref_kernel(data):
    x, out = data
    torch.mul(x, 2, out=out)
    return out

def generate_input(size, seed):
    x = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    return x, torch.empty(size)
"""
    problem = folder(reference, types=None, floor="bytes")
    assert problem.entry.written == (1,)
    inputs = problem.inputs(problem.cases[0], 1, "cpu")
    inputs[1].fill_(7)
    problem.eager(problem.cases[0], None, inputs)
    assert (inputs[1] == 7).all(), "the definition wrote into the judge's own inputs"
    assert verdict_of(problem) == {}
    assert problem.cost(problem.cases[1]) == Cost(0, 64 * 4, 64 * 4)


def test_tuples_integers_and_inner_containers(folder, verdict_of):
    reference = """
import torch

def ref_kernel(data):
    values, indices = data["x"].sort(dim=-1, descending=data["options"][0])
    return values, indices

def generate_input(size, seed):
    x = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    return {"x": x, "options": [True, None, "name"]}
"""
    problem = folder(reference, types=None)
    assert [(o.name, o.dtype) for o in problem.outputs(problem.cases[0])] == [
        ("output_0", "float32"),
        ("output_1", "int64"),
    ]
    assert verdict_of(problem) == {}

    def off_by_one(outputs):
        outputs["output_1"][0, 0] += 1
        return outputs

    assert list(verdict_of(problem, off_by_one)) == ["output_1"]


def test_definition_that_looks_at_values_is_run_for_its_shapes(folder):
    reference = """
import torch

def ref_kernel(data):
    return data[: int(data.sum().clamp(1, 5))]

def generate_input(size, seed):
    return torch.ones(size)
"""
    problem = folder(reference, types=None)
    assert problem.outputs(problem.cases[0])[0].shape == (5,)


def test_step_of_the_definition_fills_the_buffers(folder):
    problem = folder()
    case = problem.cases[0]
    inputs = problem.inputs(case, 1, "cpu")
    outputs = {"output": torch.full((33, 33), float("nan"), dtype=torch.float16)}
    problem.step(case, Contender("definition"))(inputs, outputs)
    assert torch.equal(outputs["output"], problem.eager(case, None, inputs)["output"])
    with pytest.raises(UnsupportedError, match="only its definition"):
        problem.step(case, Contender("config"))


def test_functions_may_import_late(folder, verdict_of):
    reference = """
import torch

def ref_kernel(data):
    from task import WHO
    return data * WHO

def generate_input(size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))
"""
    problem = folder(reference, types="WHO = 3")
    assert verdict_of(problem) == {}
    assert "task" not in sys.modules


def test_definition_is_not_slowed_by_copies(folder):
    """As it is timed beside candidates, it gets the inputs themselves."""
    reference = """
import torch

seen = []

def ref_kernel(data):
    seen.append(data.data_ptr())
    return data * 2

def generate_input(size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))
"""
    problem = folder(reference, types=None)
    inputs = problem.inputs(problem.cases[0], 1, "cpu")
    problem.run_definition(problem.cases[0], None, inputs)
    assert problem._reference("cpu").seen[-1] == inputs.data_ptr()


def test_own_utils_beside_the_folder_come_first(folder, tmp_path):
    (tmp_path / "utils.py").write_text(
        "def make_match_reference(reference, **kw):\n    return lambda data, output: 'never'\n"
        "class DeterministicContext:\n    def __enter__(self): pass\n"
        "    def __exit__(self, *e): pass\n"
    )
    problem = folder()
    assert "never" in problem.entry.files["utils.py"]
    assert problem.own_check(
        problem.cases[0],
        problem.inputs(problem.cases[0], 1, "cpu"),
        *[problem.eager(problem.cases[0], None, problem.inputs(problem.cases[0], 1, "cpu"))] * 2,
    )[0].message.endswith("never")


def test_two_folders_do_not_share_modules(folder):
    one = folder(name="one")
    other = folder(
        "import torch\nfrom task import WHO\ndef ref_kernel(data):\n    return data * WHO\n"
        "def generate_input(size, seed):\n    return torch.ones(size)\n",
        types="WHO = 5",
        name="two",
    )
    case = other.cases[0]
    assert float(other.eager(case, None, other.inputs(case, 1, "cpu"))["output"][0]) == 5
    assert one.eager(one.cases[0], None, one.inputs(one.cases[0], 1, "cpu"))
    assert not {"task", "reference", "utils"} & sys.modules.keys()


def test_fingerprint_follows_every_file(folder):
    first = folder().fingerprint
    assert folder().fingerprint == first
    files = folder().entry.files
    assert folder(types="# more\n" + files["task.py"]).fingerprint != first
    assert folder(files["reference.py"].replace("rtol=1e-2", "rtol=1e-3")).fingerprint != first
    assert folder(factor=2.0).fingerprint != first


def test_name_and_factor_can_be_given(folder, verdict_of):
    problem = folder(name="small", factor=8.0)
    assert problem.tolerance["factor"] == 8.0
    with pytest.raises(ArgumentError, match="factor"):
        verdict_of(folder(factor=-1))
    with pytest.raises(ArgumentError, match="judge"):
        folder(judge="nobody")
    with pytest.raises(ArgumentError, match="options"):
        folder(colour="red")
    with pytest.raises(ArgumentError, match="the name of a file"):
        folder(task="../task.yml")


@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ('lang: "py"', 'lang: "cu"', UnsupportedError, "only 'py'"),
        ('lang: "py"', "multi_gpu: true", UnsupportedError, "several GPUs"),
        ("benchmarks:", "other:", DataError, "no `benchmarks`"),
        ("tests:", "tests: [1]\nmore:", DataError, "mapping of arguments"),
        ("files:", "files: [reference.py]\nmore:", DataError, "a name and a source"),
        ("files:", "files: [", DataError, "not YAML"),
        ('"source": "reference.py"', '"source": "missing.py"', DataError, "missing.py"),
    ],
)
def test_task_that_is_wrong_says_where(folder, before, after, error, message):
    with pytest.raises(error, match=message):
        folder(task_text=lambda text: replaced(text, (before, after)))


def test_definition_that_is_not_there(folder):
    problem = folder("def generate_input(size, seed):\n    return 1\n", types=None)
    with pytest.raises(DataError, match="no ref_kernel"):
        problem.entry  # noqa: B018
    with pytest.raises(DataError, match="not Python"):
        folder("def broken(:\n", types=None).entry  # noqa: B018
    problem = folder(
        "def ref_kernel(data):\n    return 3\ndef generate_input(size, seed):\n    return 1\n",
        types=None,
    )
    with pytest.raises(DataError, match="a tensor or a tuple"):
        problem.entry  # noqa: B018


def test_example_folders_answer_as_scripts(example, tmp_path):
    """`submission.py` runs beside `task.py`, as where the format comes from."""
    for name in ("row_softmax", "vectoradd"):
        problem = example(name)
        case = problem.cases[-1]
        place = tmp_path / name
        place.mkdir()
        for file, text in problem.entry.files.items():
            (place / file).write_text(text)
        (place / "candidate.py").write_text((problem._folder / "submission.py").read_text())
        check = (
            "import torch; from candidate import custom_kernel; from reference import *; "
            f"data = generate_input(**{dict(case.arguments)}, seed=5); "
            "torch.testing.assert_close(custom_kernel(data), ref_kernel(data))"
        )
        run = subprocess.run(
            [sys.executable, "-c", check], cwd=place, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, run.stderr
