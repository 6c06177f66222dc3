"""Workers without a judge: verdicts come from a function, machines from a constant."""

import random
import time

import pytest

from onetrip.core.device import Device
from onetrip.lab.judge.machine import Machine
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.submit import ProblemFacts, add_problem, submit
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict

LAPTOP = Device("laptop", "cpu", 0, {"float32": 0.1}, 20.0, 2**33, measured=True, source="test")
MACHINE = Machine(LAPTOP, {"torch": "2.13.0", "device": "cpu"})


def cost_of(source):
    """What a source says that it takes: "COST = 2.0"."""
    namespace = {}
    exec(source, namespace)
    return float(namespace.get("COST", 1.0))


def fake_judge(job, on_stage, on_start, should_stop):
    """Times that are what the sources say, with a little noise from the secret seed."""
    on_stage("timing", 0.5)
    dice = random.Random(job.seed)
    own = cost_of(job.candidate.source)
    if own <= 0:
        return Verdict(Outcome.INCORRECT, reason="a negative cost", checks=())
    subjects = {"candidate": own}
    for name, rival in job.rivals.items():
        subjects[name] = cost_of(rival.source) if rival.kind == "source" else 8.0
    noisy = {name: cost * (1 + 0.01 * dice.random()) for name, cost in subjects.items()}
    return Verdict(
        Outcome.DONE,
        scope="all",
        checks=(Check("output", True, 0.0, 1.0, workload="small"),),
        timings=tuple(
            Timing(name, "", {}, (ms,) * 5, ms, ms * 0.98, ms * 1.02, None, "small", floor_ms=0.5)
            for name, ms in noisy.items()
        ),
        comparisons=tuple(
            Comparison(
                name,
                noisy[name] / noisy["candidate"],
                noisy[name] / noisy["candidate"] * 0.97,
                noisy[name] / noisy["candidate"] * 1.03,
                workload="small",
            )
            for name in job.rivals
        ),
        gpu_s=0.0,
    )


@pytest.fixture
def database(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture
def connection(database):
    opened = connect(database)
    yield opened
    opened.close()


@pytest.fixture
def problem(connection):
    facts = ProblemFacts(
        "folder", "toy", "f" * 64, {"location": "toy", "options": {}}, tolerance={"rtol": 0.0}
    )
    return add_problem(connection, facts)


@pytest.fixture
def work(connection, problem):
    """What the tests of this folder share."""

    class Work:
        machine = MACHINE
        judge = staticmethod(fake_judge)

        @staticmethod
        def look(device):
            return MACHINE

        @staticmethod
        def submit(source, **changes):
            values = {"proposer": "person", "why": "to see"} | changes
            return submit(connection, problem, Contender("source", source), **values).experiment_id

        @staticmethod
        def states():
            rows = connection.execute("SELECT id, state FROM experiment ORDER BY id")
            return {row["id"]: row["state"] for row in rows}

        @staticmethod
        def wait(condition, seconds=20.0):
            deadline = time.monotonic() + seconds
            while not condition():
                assert time.monotonic() < deadline, "it did not come to pass"
                time.sleep(0.02)

    return Work
