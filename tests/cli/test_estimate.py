import json

import pytest

from onetrip.cli.estimate import parse_sizes
from onetrip.cli.main import main
from onetrip.core.errors import ArgumentError
from onetrip.core.estimate import estimate

SIZES = ["N=8192", "D=2304", "V=256000"]
GEMMA = {"N": 8192, "D": 2304, "V": 256000}


def answer_of(**keywords):
    return estimate("linear_cross_entropy", **GEMMA, **keywords)


def run(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["estimate", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_json_is_what_the_function_answers(capsys):
    printed = json.loads(run(capsys, "linear_cross_entropy", *SIZES, "--json"))
    answer = answer_of()
    assert printed["floor_ms"] == answer.floor_ms
    assert printed["compulsory_bytes"] == answer.cost.bytes
    assert printed["bound"] == "compute"
    assert printed["axes"] == GEMMA
    assert [row["impl"] for row in printed["predictions"]] == [
        prediction.impl for prediction in answer.predictions
    ]


def test_options_reach_the_estimate(capsys):
    arguments = ["--device", "b200", "--dtype", "float32", "--forward-only", "--json"]
    printed = json.loads(run(capsys, "linear_cross_entropy", *SIZES, *arguments))
    answer = answer_of(device="b200", dtype="float32", backward=False)
    assert (printed["floor_ms"], printed["dtype"]) == (answer.floor_ms, "float32")
    assert printed["device"]["name"] == "b200"


def test_screen_shows_floor_choice_and_every_implementation(capsys):
    printed = run(capsys, "linear_cross_entropy", *SIZES)
    answer = answer_of()
    assert f"{answer.floor_ms:.1f} ms" in printed
    assert "compute-bound" in printed
    assert "← auto" in printed
    for prediction in answer.predictions:
        assert prediction.impl in printed


def test_estimate_needs_no_torch(run_without_torch):
    done = run_without_torch("estimate", "linear_cross_entropy", *SIZES)
    assert done.returncode == 0, done.stderr
    assert "floor" in done.stdout


@pytest.mark.parametrize("pair", ["N", "N=", "=8", "Q=8", "N=-1", "N=8k", "device=3"])
def test_malformed_sizes_are_refused_with_an_example(pair):
    with pytest.raises(ArgumentError, match="as in `N=1024 D=1024 V=1024`") as caught:
        parse_sizes("linear_cross_entropy", [pair])
    assert repr(pair) in str(caught.value)


def test_unknown_dtype_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["estimate", "linear_cross_entropy", *SIZES, "--dtype", "float8"])
    assert ended.value.code == 2
    assert "`dtype` must be one of" in capsys.readouterr().err
