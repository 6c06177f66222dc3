"""A lab with one toy problem, and a worker whose verdicts stand in the candidates' sources."""

import re
import secrets
import threading
from contextlib import closing

import pytest

from onetrip.core.device import Device
from onetrip.lab.judge.machine import Machine
from onetrip.lab.queue import claims
from onetrip.lab.queue.after import settle
from onetrip.lab.queue.submit import ProblemFacts, add_problem
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict
from onetrip.lab.work.place import study_of

TOY = ProblemFacts(
    kind="folder",
    name="toy",
    fingerprint="f" * 64,
    spec={"location": "problems/toy"},
    brief="Return twice the input. Define `custom_kernel(data)`.",
    tolerance={"factor": 2.0},
)
EAGER_MS = 8.0
LAPTOP = Device("laptop", "cpu", 0, {"float32": 0.1}, 20.0, 2**33, measured=True, source="test")
MACHINE = Machine(LAPTOP, {"torch": "2.13.0", "device": "cpu"})


def time_of(contender):
    """A toy's time is the number in its comment ``# 4 ms``."""
    found = re.search(r"# ([\d.]+) ms", contender.source)
    return float(found.group(1)) if found else EAGER_MS


def toy_verdict(claim):
    if "wrong" in claim.contender.source:
        check = Check("output", False, 0.5, 1e-6, "output is wrong at [0]", workload="small")
        return Verdict(Outcome.INCORRECT, "output: 1 of 8 values", checks=(check,))
    ours, theirs = time_of(claim.contender), time_of(claim.rivals["baseline"])
    ratio = theirs / ours

    def timing(subject, middle):
        samples = (middle * 0.99, middle, middle * 1.01)
        return Timing(
            subject, "", {}, samples, middle, samples[0], samples[2], 64, "small", floor_ms=1.0
        )

    return Verdict(
        Outcome.DONE,
        scope="all rows",
        checks=(Check("output", True, 1e-7, 1e-6, workload="small"),),
        timings=(timing("candidate", ours), timing("baseline", theirs)),
        comparisons=(Comparison("baseline", ratio, ratio * 0.98, ratio * 1.02, "small"),),
        log="compiled in 0.1 s\n",
    )


def judge_one(connection, worker_id):
    claim = claims.claim(connection, worker_id, seed=secrets.randbits(63))
    if claim is None:
        return False
    place = (claim.problem_id, claim.problem, claim.contender, MACHINE)
    study_id = study_of(connection, *place)
    verdict = toy_verdict(claim)
    claims.finish(connection, claim.attempt_id, claim.n, verdict, study_id=study_id)
    settle(connection, claim.experiment_id)
    return True


@pytest.fixture
def lab(tmp_path):
    """The database of a lab with one problem, "toy"."""
    path = tmp_path / "lab.sqlite"
    with closing(connect(path)) as connection:
        add_problem(connection, TOY)
    return path


@pytest.fixture
def store(lab):
    with closing(connect(lab)) as connection:
        yield connection


@pytest.fixture
def judge_all(store):
    """Judge everything that waits, now."""
    worker_id = claims.register_worker(store, "toy", "local", {"devices": ["cpu"]})

    def judge():
        while judge_one(store, worker_id):
            pass

    return judge


@pytest.fixture
def working(lab):
    """A worker in the background for as long as the test lasts."""
    stopped = threading.Event()

    def work():
        with closing(connect(lab)) as connection:
            worker_id = claims.register_worker(connection, "toy", "local", {"devices": ["cpu"]})
            while not stopped.is_set():
                if not judge_one(connection, worker_id):
                    stopped.wait(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stopped.set()
    thread.join()
