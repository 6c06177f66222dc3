import json

import pytest
import torch

from onetrip.bench import side_by_side
from onetrip.bench.results import read_results
from onetrip.cli.main import main
from onetrip.core.device import Device

CEILINGS = Device("cpu", "cpu", 0, {"float32": 0.5}, 10.0, 1 << 34, True, "planted")
QUICK = ["linear_cross_entropy", "--device", "cpu", "--samples", "3", "--seconds", "0.1"]
EAGER = [*QUICK, "--workload", "one-token", "--against", "eager", "--impl", "torch"]


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(side_by_side, "measure_ceilings", lambda *args, **keywords: CEILINGS)
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments: str, code: int = 0):
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments])
    printed = capsys.readouterr()
    assert ended.value.code == code, printed.err
    return printed


def test_screen_shows_every_contender_its_time_and_the_ratio(capsys):
    printed = run(capsys, *EAGER, "--against", "liger").out
    assert "one-token: N=1 D=16 V=33 float32" in printed
    assert "0.500 TFLOP/s, 10.0 GB/s" in printed
    for passes in ("forward:", "forward+backward:"):
        assert passes in printed
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "×" in lines["eager"]
    assert "s ±" in lines["onetrip-torch"]


def test_json_is_one_document_and_nothing_else(capsys):
    rows = json.loads(run(capsys, *EAGER, "--json", "--forward-only").out)
    assert [(row["contender"], row["passes"]) for row in rows] == [
        ("onetrip-torch", "forward"),
        ("eager", "forward"),
    ]


def test_save_appends_rows_with_their_environment(capsys, tmp_path):
    for _ in range(2):
        run(capsys, *EAGER, "--save", "--forward-only", "--json")
    rows = read_results(tmp_path / "results" / "linear_cross_entropy" / "cpu.jsonl")
    assert len(rows) == 4
    assert all(row["environment"]["torch"] == torch.__version__ for row in rows)


def test_several_workloads_and_budgets(capsys):
    arguments = [*QUICK, "--workload", "one-token", "--workload", "ragged", "--forward-only"]
    arguments += ["--impl", "torch", "--against", "eager", "--json"]
    arguments += ["--memory-budget", "1MiB", "--memory-budget", "2 GiB"]
    rows = json.loads(run(capsys, *arguments).out)
    assert [(row["workload"], row["contender"]) for row in rows] == [
        (workload, contender)
        for workload in ("one-token", "ragged")
        for contender in ("onetrip-torch@1MiB", "onetrip-torch@2GiB", "eager")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["linear_cross_entropi"], "Did you mean 'linear_cross_entropy'?"),
        (["linear_cross_entropy", "--workload", "gemma3"], "'gemma3'"),
        (["linear_cross_entropy", "--against", "flash"], "`against` must be one of ['eager'"),
        (["linear_cross_entropy", "--impl", "cuda"], "`impl` must be one of ['auto', 'reference'"),
        (["linear_cross_entropy", "--memory-budget", "lots"], "a size such as 256MiB or 4GiB"),
        (["linear_cross_entropy", "--device", "abacus"], "`device` must be cpu"),
    ],
)
def test_mistakes_are_one_message_and_code_2(capsys, arguments, message):
    printed = run(capsys, *arguments, code=2)
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_a_device_that_is_not_there_is_refused(capsys):
    printed = run(capsys, "linear_cross_entropy", "--device", "cuda", code=2)
    assert "torch sees no GPU" in printed.err
