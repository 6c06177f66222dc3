"""`onetrip tune` as a user meets it: a document, lines, a live screen, Ctrl-C."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onetrip.core import tuning

TOY_CLI = (sys.executable, str(Path(__file__).parent.parent / "lab" / "toy" / "cli.py"))
REAL_CLI = (sys.executable, "-m", "onetrip.cli.main")


@pytest.fixture
def environment(tmp_path):
    def environment(**script):
        return {
            **os.environ,
            "ONETRIP_CACHE_DIR": str(tmp_path / "cache"),
            "ONETRIP_DATABASE": str(tmp_path / "lab.sqlite"),
            "TOY_SCRIPT": json.dumps(script),
            "COLUMNS": "120",
        }

    return environment


@pytest.fixture
def tune(environment):
    """Run the command on the toy; its result with what it wrote."""

    def tune(*arguments, script=None, cli=TOY_CLI, seconds=60):
        return subprocess.run(
            [*cli, "tune", *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=environment(**script or {}),
        )

    return tune


def test_json_is_one_document_and_nothing_else_on_stdout(tune, tmp_path):
    export = tmp_path / "shipped.json"
    done = tune("toy", "--json", "--export", str(export))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["operator"] == "toy"
    assert found["stopped"] == "exhausted"
    assert found["standing"] == "promoted"
    assert found["best"]["config"] == {"size": 8, "unroll": 3, "defect": 0}
    assert found["best"]["confirmed"]
    speedup = found["best"]["speedup"]["default"]
    assert speedup["low"] < speedup["median"] < speedup["high"]
    assert {"eager", "default"} <= found["baselines"].keys()
    share, over = found["best"]["floor_share"], found["best"]["over_floor"]
    assert share * over == pytest.approx(1.0)
    assert over == pytest.approx(found["best"]["latency_ms"]["median"] / found["floor"]["floor_ms"])
    assert not found["floor"]["beaten"]
    assert found["counts"]["pruned"] == 3
    assert {"TPE", "neighbour", "default"} <= {trial["proposer"] for trial in found["trials"]}
    (entry,) = tuning.read_table(export)
    assert entry.config == found["best"]["config"]
    assert tuning.read_table(Path(found["table"])) == (entry,)
    # Progress is told all the same, where it does not mix with the document.
    assert "configurations" in done.stderr


def test_lines_where_there_is_no_terminal(tune):
    done = tune("toy", script={"die": [{"size": 4, "unroll": 2, "defect": 0}]})
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert re.search(r"^training …$", done.stdout, re.MULTILINE)
    assert re.search(r"^#1 torch .*: 2\.25 ms.*default of torch", done.stdout, re.MULTILINE)
    assert "best so far" in done.stdout
    assert "plain torch" in done.stdout
    assert "✓ Promoted, confirmed at 2.250 times the default's speed" in done.stdout
    assert re.search(r"crashed #\d+ torch .*exit status 7", done.stdout)


def test_the_second_tune_says_that_all_is_known(tune):
    tune("toy")
    done = tune("toy")
    assert "16 known from earlier tunes" in done.stdout
    assert "Already in your tuning table" in done.stdout
    assert "0 tried" in done.stdout


def test_what_does_not_confirm_leaves_the_default_and_exports_nothing(tune, tmp_path):
    export = tmp_path / "shipped.json"
    done = tune("toy", "--export", str(export), script={"confirmations_fall": True})
    assert done.returncode == 0
    assert "The default stays" in done.stdout
    assert "Nothing to export" in done.stdout
    assert not export.exists()
    assert not (tmp_path / "cache" / "tuning").exists()


def test_a_time_below_the_floor_speaks_against_the_ceilings(tune):
    done = tune("toy", script={"ceiling": 1e-5})
    assert "a time lies below the floor" in done.stdout
    # The ceilings of a quiet minute stand from then on.
    tune("toy")
    assert "below the floor" not in tune("toy", script={"ceiling": 1e-5}).stdout


def test_pareto_lists_the_front(tune):
    found = json.loads(tune("toy", "--objective", "pareto", "--json").stdout)
    times = [point["latency_ms"] for point in found["front"]]
    peaks = [point["peak_bytes"] for point in found["front"]]
    assert len(times) > 1
    assert times == sorted(times)
    assert peaks == sorted(peaks, reverse=True)


def test_ctrl_c_prints_what_is_known_and_has_its_own_exit_status(environment, tmp_path):
    process = subprocess.Popen(
        [*TOY_CLI, "tune", "toy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(seconds=0.3),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("#2"):
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "stopped by you" in output
    assert "plain torch" in output
    assert "Traceback" not in errors


def test_termination_is_as_clean(environment):
    process = subprocess.Popen(
        [*TOY_CLI, "tune", "toy", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(seconds=0.3),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("#1"):
            break
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(output)["stopped"] == "interrupted"


def test_a_terminal_shows_a_live_screen_and_leaves_the_result(environment):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*TOY_CLI, "tune", "toy", "--budget", "20s"],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        # Without a pause: a candidate is shown even where it ends before the next refresh.
        env={**environment(), "TERM": "xterm-256color"},
        close_fds=True,
    )
    os.close(theirs)
    written = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    assert process.wait(30) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    assert "s left" in text
    assert "verifying …" in text or "timing …" in text
    assert "TPE: where" in text
    assert "× default's speed" in text
    assert "✓ Promoted" in text.rpartition("s left")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy", "--budget", "soon"], "such as 120s or 5m"),
        (["toy", "--device", "tpu"], "cpu or cuda"),
        (["toy", "--objective", "beauty"], "'beauty'"),
        (["to"], "Did you mean 'toy'"),
    ],
)
def test_a_wrong_argument_is_one_message(tune, arguments, words):
    done = tune(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_real_operator_is_tuned_on_a_small_problem(tune, tmp_path):
    """Nothing here is a stand-in: workers, truth, clock, store."""
    arguments = ("linear_cross_entropy", "--workload", "ragged", "--device", "cpu", "--json")
    done = tune(*arguments, "--budget", "1s", cli=REAL_CLI, seconds=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (trial,) = found["trials"]
    assert (trial["state"], trial["impl"]) == ("done", "torch")
    assert found["best"]["verified"] == "all rows against float64"
    assert found["best"]["errors"].keys() == {
        "loss",
        "gradient of input",
        "gradient of linear_weight",
    }
    assert found["baselines"]["eager"]["latency_ms"]["median"] > 0
    assert found["standing"] == "default_stays"
    assert found["axes"] == {"N": 67, "D": 40, "V": 143}


def test_a_workload_that_is_not_there_is_one_message(tune):
    done = tune("linear_cross_entropy", "--workload", "rugged", cli=REAL_CLI)
    assert done.returncode == 2
    assert "`workload` must be one of" in done.stderr
    assert "Traceback" not in done.stderr
