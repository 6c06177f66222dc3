"""Studies, verdicts and databases for the lab's tests; none of them needs torch."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from onetrip.core.cost import Cost
from onetrip.core.device import Device
from onetrip.lab.queue import device_lock
from onetrip.lab.queue.campaigns import open_campaign
from onetrip.lab.queue.submit import add_problem
from onetrip.lab.search.proposal import Proposal
from onetrip.lab.store.database import connect
from onetrip.lab.store.study import Sources, place_study
from onetrip.lab.tune.prepared import TunedProblem
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict

LAPTOP = Device("laptop", "cpu", 0, {"float32": 0.1}, 20.0, 2**33, measured=True, source="test")


def new_problem(connection, *, workload="ragged"):
    problem = TunedProblem("toy", workload, "workload", {"N": 8}, "float32", {}, True)
    return add_problem(connection, problem.facts(Cost(8, 8, 8)))


def new_study(connection, *, harness="h", workload="ragged"):
    return place_study(
        connection,
        new_problem(connection, workload=workload),
        LAPTOP,
        {"torch": "2.13.0"},
        Sources("harness", {"judge.py": harness}, "0.1.0"),
        Sources("subject", {"api.py": "s"}, "0.1.0"),
    )


def new_campaign(connection, study_id=None):
    return open_campaign(
        connection,
        new_problem(connection),
        title="tune toy/ragged",
        proposer="TPE",
        objective="latency",
        seed=0,
        budget={"wall_s": 1.0},
        environment={},
        pid=1,
        study_id=study_id,
    )


def config_proposal(size, **changes):
    values = {"impl": "torch", "config": {"size": size}, "proposer": "startup", "why": "first"}
    return Proposal(**values | changes)


def done_verdict(speedup=1.25, *, width=0.05, latency_ms=2.0, peak_bytes=1000, config=None):
    def timing(subject, factor):
        middle = latency_ms * factor
        return Timing(
            subject,
            "torch",
            config or {},
            (middle * 0.9, middle, middle * 1.1),
            middle,
            middle * 0.95,
            middle * 1.05,
            peak_bytes if subject == "candidate" else 1000,
        )

    return Verdict(
        Outcome.DONE,
        scope="all rows",
        checks=(Check("output", True, 1e-7, 1e-6),),
        timings=(timing("candidate", 1.0), timing("default", speedup), timing("eager", 4.0)),
        comparisons=(
            Comparison("default", speedup, speedup - width, speedup + width),
            Comparison("eager", 4.0, 3.9, 4.1),
        ),
    )


@pytest.fixture
def database(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture(autouse=True)
def own_device(tmp_path, monkeypatch):
    """A test waits for no other process of the machine that happens to use the device."""
    monkeypatch.setattr(device_lock, "lock_folder", lambda: tmp_path / "locks")


@pytest.fixture
def connection(database):
    connection = connect(database)
    yield connection
    connection.close()


@pytest.fixture
def study(connection):
    return new_study(connection)


@pytest.fixture
def campaign(connection, study):
    return new_campaign(connection, study)


@pytest.fixture
def make():
    """The makers above, for tests: with importlib mode they cannot import this file."""

    class Make:
        device = LAPTOP
        quick_worker = QUICK_WORKER
        toy_worker = TOY_WORKER
        tuner = (sys.executable, str(TOY / "tuner.py"))
        study = staticmethod(new_study)
        campaign = staticmethod(new_campaign)
        problem = staticmethod(new_problem)
        proposal = staticmethod(config_proposal)
        done = staticmethod(done_verdict)

    return Make


TOY = Path(__file__).parent / "toy"
QUICK_WORKER = (sys.executable, str(TOY / "quick_worker.py"))
TOY_WORKER = (sys.executable, str(TOY / "worker.py"))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy is an operator of this process, and nothing is cached but in `tmp_path`."""
    from onetrip.core import tuning

    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path / "cache"))
    specification = importlib.util.spec_from_file_location("toy_install", TOY / "install.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    uninstall = module.install()
    tuning.forget_tables()
    yield "toy"
    uninstall()
    tuning.forget_tables()


@pytest.fixture
def script(monkeypatch):
    """Tell the quick worker how to behave."""

    def tell(**behaviour):
        monkeypatch.setenv("TOY_SCRIPT", json.dumps(behaviour))

    return tell
