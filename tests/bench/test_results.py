import json
import subprocess
import sys

import pytest

from onetrip.bench.results import (
    append_results,
    last_runs,
    latest,
    markdown_table,
    read_results,
    results_path,
)
from onetrip.core.errors import DataError

ROW = {
    "operator": "toy",
    "workload": "ragged",
    "dtype": "float32",
    "passes": "forward",
    "contender": "eager",
    "outcome": "done",
    "latency_ms": {"median": 12.0, "low": 11.0, "high": 13.0, "samples": [12.0]},
    "floor_ms": 10.0,
    "peak_bytes": 3 << 20,
    "worst_share": 0.25,
    "environment": {"device": "cpu"},
}


def test_rows_come_back_in_order(tmp_path):
    path = results_path("toy", "NVIDIA H100 80GB HBM3", tmp_path)
    assert path == tmp_path / "toy" / "nvidia-h100-80gb-hbm3.jsonl"
    assert read_results(path) == []
    append_results(path, [ROW, {**ROW, "contender": "ours"}])
    append_results(path, [{**ROW, "contender": "theirs"}])
    assert [row["contender"] for row in read_results(path)] == ["eager", "ours", "theirs"]
    assert read_results(path)[0] == {"format": 1, **ROW}
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


def test_the_last_run_of_a_problem_leaves_out_who_was_not_there():
    def row(contender, time, workload="ragged"):
        environment = {"time": time}
        return {**ROW, "workload": workload, "contender": contender, "environment": environment}

    rows = [row("gone", 1), row("ours", 1), row("ours", 1, "even"), row("new", 2), row("ours", 2)]
    assert {each["contender"] for each in latest(rows)} == {"gone", "ours", "new"}
    last = [(each["workload"], each["contender"]) for each in last_runs(rows)]
    assert last == [("ragged", "ours"), ("even", "ours"), ("ragged", "new")]


def test_what_is_there_is_never_changed(tmp_path):
    path = tmp_path / "toy.jsonl"
    append_results(path, [ROW])
    before = path.read_bytes()
    append_results(path, [ROW])
    assert path.read_bytes().startswith(before)


def test_writers_at_once_keep_lines_whole(tmp_path):
    path = tmp_path / "toy.jsonl"
    code = (
        "import sys; from pathlib import Path; from onetrip.bench.results import append_results\n"
        "row = {'environment': {}, 'contender': sys.argv[1] * 3000}\n"
        "for _ in range(50): append_results(Path(sys.argv[2]), [row])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, who, str(path)]) for who in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    contenders = [row["contender"] for row in read_results(path)]
    assert sorted(contenders) == ["a" * 3000] * 50 + ["b" * 3000] * 50


def test_a_number_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_results(tmp_path / "toy.jsonl", [{**ROW, "floor_ms": float("nan")}])
    assert not (tmp_path / "toy.jsonl").exists()


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"environment": {}}', '{"format": 2, "environment": {}}', '{"format": 1}']
)
def test_a_foreign_line_is_named(tmp_path, line):
    path = tmp_path / "toy.jsonl"
    append_results(path, [ROW])
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match="line 2"):
        read_results(path)


def test_latest_keeps_the_newest_of_each_problem():
    newer = {**ROW, "floor_ms": 9.0}
    other = {**ROW, "contender": "ours"}
    assert latest([ROW, other, newer]) == [newer, other]


def test_markdown_marks_what_is_incorrect_and_what_did_not_run():
    failed = {key: ROW[key] for key in ("workload", "passes")}
    rows = [
        ROW,
        {**ROW, "contender": "wrong", "outcome": "incorrect", "worst_share": 3.5},
        {**failed, "contender": "large", "outcome": "out_of_memory"},
    ]
    table = markdown_table(rows, ("contender", "time", "floor", "memory", "error"))
    assert table.splitlines() == [
        "| contender | time | × floor | memory | error / budget |",
        "|---|---:|---:|---:|---:|",
        "| eager | 12.0 ms | 1.20 | 3.00 MiB | 0.25 |",
        "| wrong | 12.0 ms (incorrect) | 1.20 | 3.00 MiB | 3.5 |",
        "| large | out_of_memory | – | – | – |",
    ]
    assert json.loads(json.dumps(rows)) == rows
