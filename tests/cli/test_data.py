"""`onetrip data` as it is typed: what it prints, how it ends, what it leaves."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from onetrip.cli.main import main

RECIPE = """
source:
  csv: {columns: [word, n]}
steps:
  - filter: {where: [n != 0]}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    rows = "".join(f"w{n},{n % 3}\n" for n in range(30))
    (tmp_path / "in" / "a.csv").write_text("word,n\n" + rows)
    (tmp_path / "in" / "b.csv").write_text("word,n\nx,1,2\n" + rows)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def onetrip(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["data", *arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


RUN = ("run", "recipe.yaml", "in", "-o", "out", "--executor", "inline")
BEARING = ("--max-bad-rows", "5%")


def test_run_prints_the_balance_and_says_why_rows_are_missing(here, onetrip):
    code, out, err = onetrip(*RUN, *BEARING, "--progress", "plain")
    assert code == 3
    assert "n != 0 20" in out
    assert "40 rows in out; 2 units, 0 bad" in out
    assert "onetrip data quarantine list out" in out
    assert "[1/2] csv: 100% of" in err
    code, out, _ = onetrip("quarantine", "list", "out", "--json")
    assert [(group["code"], group["entries"]) for group in json.loads(out)] == [("R01", 1)]
    code, out, _ = onetrip("quarantine", "show", "out", "--code", "R01")
    assert out == "R01 b.csv:2: 2 fields expected, 3 found.\n    'x,1,2'\n"
    code, out, _ = onetrip("quarantine", "retry", "out")
    assert "0 tasks" in out


def test_json_holds_what_the_screen_shows(here, onetrip):
    code, out, err = onetrip(*RUN, *BEARING, "--json", "--progress", "json")
    said = json.loads(out)
    assert (code, said["exit_code"], said["rows"]) == (3, 3, 40)
    assert said["accounts"]["filter"]["dropped"] == {"n != 0": 20}
    pace = [json.loads(line) for line in err.splitlines()]
    assert {line["event"] for line in pace} == {"progress"}
    last_of_csv = [line for line in pace if line["stage"] == "csv"][-1]
    assert (last_of_csv["rows"], last_of_csv["rejected"]) == (61, 1)
    assert last_of_csv["bytes_done"] == last_of_csv["bytes"] > 0


def test_limits_exceeded_end_with_4_and_strict_at_the_first(here, onetrip):
    code, _, err = onetrip(*RUN)
    assert code == 4
    assert "1 of 61 rows are bad, more than --max-bad-rows 1%" in err
    code, _, err = onetrip(*RUN, "--strict")
    assert code == 4
    assert "more than --max-bad-rows 0" in err


def test_dry_run_tells_what_is_cached_and_runs_nothing(here, onetrip):
    code, out, _ = onetrip(*RUN, "--dry-run")
    assert code == 0
    assert out.count("will run") == 2
    assert not (here / "out").exists()
    onetrip(*RUN, *BEARING)
    (here / "recipe.yaml").write_text(RECIPE.replace("n != 0", "n != 1"))
    _, out, _ = onetrip(*RUN, "--dry-run", "--json")
    stages = json.loads(out)["stages"]
    assert [(stage["tasks"], stage["done"]) for stage in stages] == [(1, 1), (1, 0)]


def test_status_and_stats_tell_of_the_last_run(here, onetrip):
    onetrip(*RUN, *BEARING, "--progress", "none")
    code, out, _ = onetrip("status", "out")
    assert code == 0
    assert "done" in out
    assert "filter" in out
    _, out, _ = onetrip("status", "out", "--json")
    status = json.loads(out)
    assert (status["state"], status["exit_code"], status["units"]) == ("done", 3, {"ok": 2})
    assert [stage["accounts"] != {} for stage in status["stages"]] == [True, True]
    assert status["stages"][1]["accounts"]["filter"]["rows_out"] == 40
    _, out, _ = onetrip("stats", "out")
    assert "filter: n != 0 (any) 20" in out
    code, _, err = onetrip("status", "nowhere")
    assert code == 2
    assert "onetrip data run" in err


def test_user_errors_are_one_message_and_code_2(here, onetrip):
    (here / "recipe.yaml").write_text(RECIPE.replace("filter", "fitler"))
    code, _, err = onetrip(*RUN)
    assert code == 2
    assert "Did you mean 'filter'" in err
    assert onetrip("run", "recipe.yaml", "nothing", "-o", "out")[0] == 2
    (here / "recipe.yaml").write_text(RECIPE)
    code, _, err = onetrip(*RUN, "--workers", "9", "--memory", "1GB")
    assert code == 2
    assert "`workers` must be at most" in err


def test_names_of_folders_come_as_a_shell_takes_them(here, onetrip):
    odd = "out [red] 'ü'"
    code, out, _ = onetrip(*RUN[:4], odd, *RUN[5:], *BEARING)
    assert code == 3
    assert f"40 rows in {odd};" in out
    (command,) = re.findall(r"^Why: onetrip data (.*)$", out, re.MULTILINE)
    code, out, _ = onetrip(*shlex.split(command))
    assert code == 0
    assert "R01" in out


def test_an_export_that_is_interrupted_says_what_to_do(here, onetrip, monkeypatch):
    onetrip(*RUN, *BEARING)

    def interrupted(stats, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("onetrip.data.export.write.dataset_card", interrupted)
        code, _, err = onetrip("export", "out", "ready")
    assert (code, err) == (130, "onetrip: interrupted. The same command begins the export again.\n")
    code, out, _ = onetrip("export", "out", "ready")
    assert (code, out) == (0, "ready: 1 files, train 40\n")


def test_entries_that_are_not_there_are_told(here, onetrip):
    onetrip(*RUN, *BEARING)
    code, out, _ = onetrip("quarantine", "show", "out", "--code", "R99")
    assert code == 0
    assert "No such entry" in out


def test_steps_are_described_by_themselves(onetrip):
    _, out, _ = onetrip("steps", "--json")
    kinds = {step["name"]: step["kind"] for step in json.loads(out)}
    assert kinds["filter"] == "batch"
    assert kinds["csv"] == kinds["jsonl"] == kinds["parquet"] == kinds["airr"] == "source"
    assert kinds["dedup"] == "exchange"
    _, out, _ = onetrip("steps", "filter")
    assert "where: ()" in out
    code, _, err = onetrip("steps", "fliter")
    assert code == 2
    assert "'filter'" in err


def test_live_progress_shows_every_stage(here, onetrip):
    code, _, err = onetrip(*RUN, *BEARING, "--progress", "rich")
    assert code == 3
    assert "1/2 csv" in err
    assert "2/2 filter" in err


SLOW = """
source:
  csv: {columns: [word, n]}
steps:
  - slow_step:Slow
"""
SLOW_STEP = """
import time
from dataclasses import dataclass
from typing import ClassVar
from onetrip.data.step import Applied, BatchStep

@dataclass(frozen=True)
class Slow(BatchStep):
    "Waits."
    name: ClassVar[str] = "slow"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "waits"
    def schema(self, upstream):
        return upstream
    def apply(self, batch):
        time.sleep(30)
        return Applied(batch)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_in_order_keeps_what_is_done_and_ends_with_130(here, how, onetrip):
    (here / "recipe.yaml").write_text(SLOW)
    (here / "slow_step.py").write_text(SLOW_STEP)
    program = "import sys; sys.path.insert(0, '.'); from onetrip.cli.main import main; main()"
    command = [sys.executable, "-c", program, "data", "run", "recipe.yaml", "in", "-o", "out"]
    bearing = ["--workers", "1", "--max-bad-rows", "9%", "--progress", "none"]
    process = subprocess.Popen([*command, *bearing], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if any((here / "out").glob("stages/01-*")):
                break
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(how)
        _, err = process.communicate(timeout=20)
    finally:
        # One that goes on fails the test in place of outliving it.
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "onetrip: interrupted. What is done is kept: the same command goes on." in err
    _, out, _ = onetrip("status", "out", "--json")
    status = json.loads(out)
    assert status["state"] == "interrupted"
    assert [stage["done"] for stage in status["stages"]] == [1, 0]
