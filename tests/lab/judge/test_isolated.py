"""Whole trials: what is honest passes, and each defence fires."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.verdict import Outcome, verdict_from

HEAD = "import torch\n"

# name -> source, outcome, words of the reason
HOSTILE = {
    "skips the last element": (
        """
def custom_kernel(data):
    y = torch.empty_like(data[0])
    torch.add(data[0][:-1], data[1][:-1], alpha=2, out=y[:-1])
    y[-1] = 0
    return y
""",
        Outcome.INCORRECT,
        "exceeds its budget at 1 of",
    ),
    "writes into an input": (
        """
def custom_kernel(data):
    y = data[0] + 2 * data[1]
    data[1].zero_()
    return y
""",
        Outcome.HACKED,
        "changed input",
    ),
    "returns an input": (
        "def custom_kernel(data):\n    return data[0].add_(data[1], alpha=2)",
        Outcome.HACKED,
        "borrowed result",
    ),
    "returns one buffer again and again": (
        """
kept = {}
def custom_kernel(data):
    y = kept.setdefault(data[0].shape, torch.empty_like(data[0]))
    return torch.add(*data, alpha=2, out=y)
""",
        Outcome.HACKED,
        "borrowed result",
    ),
    "computes when it is read": (
        """
class Later(torch.Tensor):
    pass
def custom_kernel(data):
    return torch.add(*data, alpha=2).as_subclass(Later)
""",
        Outcome.HACKED,
        "lazy result",
    ),
    "remembers results by address": (
        """
known = {}
def custom_kernel(data):
    key = (data[0].data_ptr(), data[0].shape)
    if key not in known:
        known[key] = torch.add(*data, alpha=2)
    return known[key].clone()
""",
        Outcome.HACKED,
        "stale output",
    ),
    "finishes after it has returned": (
        """
import threading, time
def custom_kernel(data):
    y = torch.empty_like(data[0])
    def late():
        time.sleep(0.001)
        torch.add(*data, alpha=2, out=y)
    threading.Thread(target=late).start()
    return y
""",
        (Outcome.HACKED, Outcome.INCORRECT),
        "",
    ),
    "slows the clock down": (
        """
import gc, time
from onetrip.lab.judge.clocks import CpuClock
real = time.perf_counter_ns
for thing in gc.get_objects():
    if type(thing) is CpuClock:
        thing._now = lambda: real() // 50
def custom_kernel(data):
    for _ in range(60):
        y = torch.add(*data, alpha=2)
    return y
""",
        Outcome.HACKED,
        "clock disagreement",
    ),
    "is honest for the first calls only": (
        """
calls = []
def custom_kernel(data):
    calls.append(1)
    if len(calls) > 9:
        return torch.empty_like(data[0]).fill_(0.5)
    return torch.add(*data, alpha=2)
""",
        Outcome.INCORRECT,
        "exceeds its budget",
    ),
    "forges an answer": (
        """
import os
import subprocess
import sys
def custom_kernel(data):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"check: pass" * 2000)
        except OSError:
            pass
    os._exit(0)
""",
        (Outcome.HACKED, Outcome.CRASHED),
        "",
    ),
    "leaves with a smile": (
        "import os\ndef custom_kernel(data):\n    os._exit(0)",
        Outcome.CRASHED,
        "exit status 0 and no answer",
    ),
    "dies by a signal": (
        "import ctypes\ndef custom_kernel(data):\n    ctypes.string_at(0)",
        Outcome.CRASHED,
        "SIGSEGV",
    ),
    "is no Python": ("def custom_kernel(data)\n", Outcome.COMPILE_ERROR, "SyntaxError"),
    "defines something else": ("def kernel(data): pass", Outcome.CRASHED, "custom_kernel"),
    "takes all memory": (
        """
def custom_kernel(data):
    return [torch.ones(1 << 28) for _ in range(64)][0]
""",
        Outcome.OUT_OF_MEMORY,
        "memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_candidate_costs_only_itself(attempt, name):
    body, outcomes, words = HOSTILE[name]
    verdict = attempt(HEAD + body, memory_bytes=2 << 30)
    allowed = outcomes if isinstance(outcomes, tuple) else (outcomes,)
    assert verdict.outcome in allowed, verdict
    assert words in verdict.reason
    assert verdict.evidence
    assert not verdict.timings


def test_work_before_the_clock_starts_wins_nothing(attempt):
    """Seen as work ahead; on a busy machine it comes too late, and is timed as the work it is."""
    verdict = attempt(
        HEAD
        + """
import threading, time, gc
harness = next(t for t in gc.get_objects() if type(t).__name__ == "Harness")
results = {}
def ahead():
    while True:
        data = harness.__dict__.get("_tree")
        if data is not None and results.get("of") is not data:
            begun = time.thread_time()
            while time.thread_time() - begun < 0.01:
                y = torch.add(*data, alpha=2)
            results["y"], results["of"] = y, data
        time.sleep(0.0001)
threading.Thread(target=ahead, daemon=True).start()
def custom_kernel(data):
    while results.get("of") is not data:
        time.sleep(0.0001)
    return results["y"]
"""
    )
    if verdict.outcome is Outcome.DONE:
        # Of ten milliseconds of work at least the seven that the rule lets nobody do ahead.
        assert min(t.median_ms for t in verdict.timings if t.subject == "candidate") > 7
    else:
        assert verdict.outcome is Outcome.HACKED, verdict
        assert "ahead" in verdict.reason


def test_a_candidate_that_hangs_is_killed_in_time(judge, add, honest):
    source = HEAD + "import time\ndef custom_kernel(data):\n    time.sleep(600)"
    verdict = judge.judge(TrialJob(add, Contender("source", source), seed=3, seconds=12.0))
    assert verdict.outcome is Outcome.TIMEOUT
    assert "12 s" in verdict.reason


def test_an_honest_candidate_is_proved_timed_and_compared(judge, add, honest):
    stages, starts = [], []
    job = TrialJob(
        add,
        Contender("source", "print('hello')\n" + honest),
        {"eager": Contender("definition"), "broken": Contender("source", "1 / 0")},
        seed=5,
    )
    verdict = judge.judge(
        job,
        on_stage=lambda name, share: stages.append(name),
        on_start=lambda pid, started: starts.append((pid, started)),
    )
    assert verdict.outcome is Outcome.DONE, verdict
    assert verdict_from(verdict.as_dict()) == verdict_from(verdict.as_dict())
    assert {check.workload for check in verdict.checks} == {
        "test size=127", "test size=1000", "benchmark size=200000", "hidden size=4099",
    }  # fmt: skip
    assert all(check.passed for check in verdict.checks)
    assert {(t.subject, t.regime, len(t.samples_ms)) for t in verdict.timings} == {
        (subject, regime, 12) for subject in ("candidate", "eager") for regime in ("cold", "warm")
    }
    timing = verdict.timing("candidate")
    assert timing is not None
    assert timing.low_ms <= timing.median_ms <= timing.high_ms
    assert timing.peak_bytes is not None
    assert timing.peak_bytes >= 800_000
    assert len(timing.blocks) == 6
    assert {pair.baseline for pair in verdict.comparisons} == {"eager"}
    assert "ZeroDivisionError" in str(verdict.evidence["broken is out"])
    assert verdict.log == "hello"
    assert not verdict.flags
    assert stages[0] == "reading the problem"
    assert any(stage.startswith("timing benchmark") for stage in stages)
    ((pid, started),) = starts
    assert started is not None
    assert not Path(f"/proc/{pid}").exists()


def test_the_seed_decides_the_data(judge, add):
    # Writes what it is given where the test can read it: into its log.
    source = HEAD + (
        "def custom_kernel(data):\n"
        "    print('sum', data[0].sum().item(), flush=True)\n"
        "    raise SystemExit\n"
    )
    logs = []
    for seed in (7, 7, 8):
        case = ("benchmark size=200000",)
        job = TrialJob(add, Contender("source", source), seed=seed, cases=case)
        logs.append(judge.judge(job).log)
    assert logs[0].startswith("sum")
    assert logs[0] == logs[1] != logs[2]


def test_leftovers_are_gone_when_the_verdict_is_there(attempt, honest):
    mark = "61.2534"
    verdict = attempt(
        "import subprocess, sys\n"
        f"command = [sys.executable, '-c', 'import time; time.sleep({mark})']\n"
        "subprocess.Popen(command, start_new_session=True)\n" + honest
    )
    assert verdict.outcome is Outcome.DONE, verdict
    assert "processes left running" in {flag.rule for flag in verdict.flags}
    assert not any(mark in _command_line(pid) for pid in os.listdir("/proc") if pid.isdigit())


def _command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_problem_that_cannot_be_read_is_the_labs_fault(judge, honest, tmp_path):
    job = TrialJob(ProblemRef("folder", str(tmp_path)), Contender("source", honest))
    verdict = judge.judge(job)
    assert verdict.outcome is Outcome.INFRA_LOST
    assert "task.yml" in verdict.reason


def test_the_lab_can_stop_a_trial(judge, add, honest):
    stages = []
    verdict = judge.judge(
        TrialJob(add, Contender("source", honest), seed=3),
        on_stage=lambda name, share: stages.append(name),
        should_stop=lambda: "verifying" in stages,
    )
    assert (verdict.outcome, verdict.reason) == (Outcome.INFRA_LOST, "stopped by the lab")


OPERATOR = ProblemRef("operator", "linear_cross_entropy", {"workload": "ragged"})


def test_a_configuration_of_an_operator_is_judged_as_a_source_is(judge):
    job = TrialJob(OPERATOR, Contender("config", impl="reference"), seed=9)
    verdict = judge.judge(job)
    assert verdict.outcome is Outcome.DONE, verdict
    assert {check.tensor for check in verdict.checks} == {
        "loss", "grad_input", "grad_linear_weight",
    }  # fmt: skip
    timing = verdict.timing("candidate")
    assert timing is not None
    assert timing.impl == "reference"


def test_writing_beyond_an_output_is_seen(attempt):
    source = """
import torch

def run(inputs, outputs):
    x, w = (inputs[name].requires_grad_() for name in ("input", "linear_weight"))
    loss = torch.nn.functional.cross_entropy(x @ w.T, inputs["target"])
    grads = torch.autograd.grad(loss, (x, w), inputs["grad_loss"])
    outputs["loss"].as_strided((2,), (1,))[:] = loss.detach()
    outputs["grad_input"].copy_(grads[0])
    outputs["grad_linear_weight"].copy_(grads[1])
"""
    verdict = attempt(source, problem=OPERATOR)
    assert verdict.outcome is Outcome.INCORRECT, verdict
    assert "guard band" in verdict.reason
    honest = attempt(source.replace("as_strided((2,), (1,))[:]", "view(1)[:]"), problem=OPERATOR)
    assert honest.outcome is Outcome.DONE, honest


def test_the_judges_own_process_needs_no_torch():
    code = "import sys, onetrip.lab.judge.isolated; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
