"""Forked from a warm template, a process is as one that was started; and no two meet."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from onetrip.lab.judge import template, warm
from onetrip.lab.judge.forked import CannotForkError
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.judge.warm import WARM, Template, Warm
from onetrip.lab.problems.problem import Contender
from onetrip.lab.sandbox.level import level
from onetrip.lab.verdict import Outcome

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or level().name != "bubblewrap", reason="needs rooms of bubblewrap"
)

# Everything that a candidate can learn of its process, but what differs from one start to the next.
SURROUNDINGS = """
import ctypes, hashlib, json, os, random, re, resource, signal, sys, threading
from collections import Counter
import numpy, torch

def digest(names):
    return [len(names), hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()]

def kind(number):
    return re.sub(r"[0-9a-f-]{4,}|[0-9]+", "", os.readlink(f"/proc/self/fd/{number}"))

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
kept = "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp SigIgn SigCgt SigBlk"
main = sys.modules["__main__"]
# What the template needs to put a process behind walls.
loaded = [name for name in sys.modules if not name.startswith("onetrip.lab.sandbox")]
facts = {
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "umask": os.umask(0o22),
    "arguments": (sys.argv[0], len(sys.argv)),
    # A folder that does not exist inside is on the path of whoever began outside.
    "path": [path for path in sys.path if os.path.exists(path) and "candidate-" not in path],
    "flags": str(sys.flags),
    "modules": digest(loaded),
    "packages": Counter(
        name.partition(".")[0] for name in loaded
        if name.partition(".")[0] not in sys.stdlib_module_names and "." in name
    ),
    "main": [main.__name__, main.__file__, sorted(set(vars(main)) - {"__annotations__"})],
    "status": {name: status[name].split() for name in kept.split() if name in status},
    "limits": {
        name: resource.getrlimit(getattr(resource, name))
        for name in dir(resource) if name.startswith("RLIMIT_")
    },
    "descriptors": sorted(kind(number) for number in os.listdir("/proc/self/fd") if number != "3"
                          and os.path.islink(f"/proc/self/fd/{number}")),
    "mounts": digest([" ".join(line.split()[4:6]) for line in open("/proc/self/mountinfo")]),
    "outside": [os.stat("/proc/1").st_uid, os.uname().nodename, os.listdir("/sys/class")
                if os.path.exists("/sys/class") else []],
    "network": open("/proc/self/net/dev").read().count(":"),
    "leader": os.getsid(0) == os.getpgid(0),
    "own files": os.access("/proc/self/mem", os.R_OK | os.W_OK),
    "priority": os.getpriority(os.PRIO_PROCESS, 0),
    "cores": sorted(os.sched_getaffinity(0)),
    "merit": open("/proc/self/oom_score_adj").read(),
    "shared": os.listdir("/dev/shm"),
    "scratch": len(os.listdir("/scratch")),
    "handlers": {
        str(number): str(signal.getsignal(number)).partition(" at ")[0]
        for number in signal.valid_signals() if signal.getsignal(number) != signal.SIG_DFL
    },
    "threads": [str(thread.name) for thread in threading.enumerate()],
    "torch": [torch.get_num_threads(), torch.cuda.is_initialized(), str(torch.get_default_dtype())],
}
draws = {
    "python": random.random(), "numpy": numpy.random.rand(), "torch": torch.rand(4).tolist(),
    "seed": torch.initial_seed(), "system": os.urandom(8).hex(),
}
spaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
print("FACTS" + json.dumps([facts, draws, spaces]), flush=True)
raise ValueError("looked around")
"""


@pytest.fixture
def forked(monkeypatch):
    """What was asked of the templates, and whether a process came of it."""
    asked = []
    fork = WARM.fork

    def spy(module, inherited, enclosed):
        process = fork(module, inherited, enclosed)
        asked.append((module.rpartition(".")[2], enclosed is not None, process is not None))
        return process

    monkeypatch.setattr(WARM, "fork", spy)
    return asked


def told(log):
    return json.loads(log.partition("FACTS")[2].splitlines()[0])


def is_over(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition, seconds=10.0):
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_forked_candidate_is_as_one_that_was_started(attempt, forked, monkeypatch):
    monkeypatch.setattr(WARM, "forbids", "a test wants a new process")
    started, _, _ = told(attempt(SURROUNDINGS).log)
    monkeypatch.setattr(WARM, "forbids", "")
    verdict = attempt(SURROUNDINGS)
    facts, _, spaces = told(verdict.log)
    assert forked[-1] == ("candidate", True, True)
    assert facts.keys() == started.keys()
    assert {n: (fact, started[n]) for n, fact in facts.items() if fact != started[n]} == {}
    assert verdict.outcome is Outcome.CRASHED, verdict
    ours = {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
    shared = {name for name, space in spaces.items() if space == ours[name]}
    assert shared <= {"time", "time_for_children"}


def test_two_forks_draw_differently(attempt, forked):
    first, second = (told(attempt(SURROUNDINGS).log) for _ in range(2))
    assert [entry for entry in forked if entry[0] == "candidate"] == [("candidate", True, True)] * 2
    assert [draw for draw, value in first[1].items() if value == second[1][draw]] == []


def test_what_a_candidate_does_to_torch_meets_no_other(attempt, forked):
    vandal = (
        "import builtins, ctypes, sys, torch\n"
        "torch.add = torch.sub\n"
        "torch.Tensor.__mul__ = torch.Tensor.__add__\n"
        "torch.set_num_threads(7)\n"
        "ctypes.memset(id(torch.__version__) + 48, 63, 3)\n"
        "open('/scratch/left', 'w').write('x')\n"
        "open('/dev/shm/left', 'w').write('x')\n"
        "print('done')\n"
        "raise ValueError\n"
    )
    look = (
        "import os, torch\n"
        "two = torch.full((), 2.0)\n"
        "print(torch.add(two, two).item(), (two * two * two).item(), torch.get_num_threads(),\n"
        "      torch.__version__, os.path.exists('/scratch/left'), os.listdir('/dev/shm'))\n"
        "raise ValueError\n"
    )
    before = attempt(look).log
    assert before.startswith("4.0 8.0 ")
    assert attempt(vandal).log == "done"
    assert attempt(look).log == before
    assert all(came for *_, came in forked)


def test_a_template_outlives_its_candidates_and_is_replaced_when_it_dies(attempt, forked):
    harmless = "print('here')\nraise ValueError"
    assert attempt(harmless).log == "here"
    before = WARM.template("walled").pid
    assert attempt("import ctypes; ctypes.string_at(0)").outcome is Outcome.CRASHED
    assert attempt("import os; os.kill(os.getpid(), 9)").outcome is Outcome.CRASHED
    assert WARM.template("walled").pid == before
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: is_over(before))
    assert attempt(harmless).log == "here"
    assert WARM.template("walled").pid != before
    assert all(came for *_, came in forked)


def test_a_title_is_decided_by_new_processes(judge, add, honest, forked):
    job = TrialJob(add, Contender("source", "raise ValueError"), seed=3, purpose="confirm")
    assert judge.judge(job).outcome is Outcome.CRASHED
    assert [entry for entry in forked if entry[0] == "candidate"] == []


def test_no_copy_is_made_of_a_process_with_threads(tmp_path, monkeypatch, caplog):
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy" / "__init__.py").touch()
    (tmp_path / "noisy" / "starts.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(warm._MODULES, "trusted", ("noisy.starts",))
    own = Warm()
    try:
        with caplog.at_level(logging.WARNING):
            assert own.fork("noisy.starts", (), None) is None
        assert "2 threads run in the template" in caplog.text
        assert "2 threads" in own.forbids
    finally:
        own.end()


def test_threads_and_devices_are_seen(monkeypatch):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert "threads run" in template.what_forbids_forking()
    finally:
        stop.set()
        thread.join()
    import torch

    monkeypatch.setattr(template.os, "listdir", lambda path: ["1"])
    assert template.what_forbids_forking() == ""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert "device" in template.what_forbids_forking()


def test_a_template_that_cannot_import_says_why(tmp_path):
    broken = Template(("onetrip.lab.judge.no_such_module",), dict(os.environ))
    try:
        with pytest.raises(CannotForkError, match="no_such_module"):
            broken.fork({}, ())
    finally:
        broken.end()


def test_all_goes_with_a_judge_that_is_killed():
    code = (
        "import time\n"
        "from onetrip.lab.judge.child import Child\n"
        "from onetrip.lab.judge.isolated import ORACLE\n"
        "from onetrip.lab.judge.warm import WARM\n"
        "child = Child(ORACLE, warm=True)\n"
        "template = WARM.template('trusted')\n"
        "print(child.forked, child.pid, child.parent_pid, template.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as judge:
        assert judge.stdout is not None
        came, *pids = judge.stdout.readline().split()
        assert came == "True"
        assert not any(is_over(pid) for pid in pids)
        judge.kill()
    wait_until(lambda: all(is_over(pid) for pid in pids))
