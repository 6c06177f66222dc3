"""Against a harness with the usual mistakes the hacks win; what stops them is ours."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from catalogue import HACKS, seed_of

HERE = Path(__file__).parent
# What needs our judge to make sense: its frames, its warm-up, its destinations; and a constant,
# which only a weak problem takes.
NOT_HERE = {
    "h06_forged_frames.py",
    "h09_warm_up_detection.py",
    "h24_constant.py",
    "h32_beyond_the_end.py",
    "h37_harness_in_memory.py",
}
MACHINE_CODE = {"h05_native_clock.py", "h15_one_shape_in_no_time.py"}
TIMED_MS = 4.5
TRIES = 3


def tried():
    for hack in HACKS:
        skipped = hack.file in NOT_HERE
        skipped |= hack.file in MACHINE_CODE and platform.machine() != "x86_64"
        skipped |= hack.file == "h14_clock_tampering.py" and os.getuid() != 0
        if not skipped:
            yield hack


def trial(hack, source):
    folder = HERE / "problems" / hack.problem
    task = yaml.safe_load((folder / "task.yml").read_text())
    arguments = {name: value for name, value in task["benchmarks"][0].items() if name != "seed"}
    return {
        "source": source,
        "reference": (folder / "reference.py").read_text(),
        "arguments": arguments,
        "secret": str(seed_of(hack.file)),
    }


def won(hack, report):
    if report["code"] != 0:
        return False
    if hack.number == 16:
        return report["peer_ms"] > 25
    if hack.number == 17:
        return bool(daemons())
    if "told_ms" not in report:
        # It left early, with success.
        return True
    slow = "sleep(0.005)" in hack.source
    passed = report["passed"] or report["said_pass"]
    return passed and (not slow or report["told_ms"] < TIMED_MS)


def daemons():
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/comm")
        if path.read_text().strip() == "onetrip-h17"
    ]


@pytest.fixture
def nothing_stays():
    yield
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        Path(folder, "onetrip-h36-answers").unlink(missing_ok=True)
    for pid in daemons():
        os.kill(pid, 9)
    time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="hacks of Linux")
def test_every_hack_wins_where_nobody_looks(filled_in, nothing_stays, monkeypatch):
    monkeypatch.setenv("LAB_SECRET", "kept-in-the-lab-4711")
    hacks = list(tried())
    # Who only seems slow on a busy machine gets another chance; what never wins stays lost.
    for _ in range(TRIES):
        lost = lost_of(hacks, filled_in)
        hacks = [hack for hack in hacks if hack.file in lost]
        if not hacks:
            break
    assert not lost


def lost_of(hacks, filled_in):
    """Those that did not win, with what the naive harness says of them."""
    # Some need an earlier try; the last one counts.
    turns = [hack for hack in hacks for _ in range(hack.times)]
    # A file, not a pipe: the end of a pipe comes when the daemon that a hack leaves behind ends.
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(
            [sys.executable, str(HERE / "naive.py")],
            input=json.dumps([trial(hack, filled_in(hack)) for hack in turns]),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=120,
        )
        errors.seek(0)
        said = errors.read()
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(turns), said[-2000:]
    last = {hack.file: (hack, report) for hack, report in zip(turns, reports, strict=True)}
    return {file: report for file, (hack, report) in last.items() if not won(hack, report)}
