"""Hacks that only a device can show, and honest candidates that look like them."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from onetrip.lab.judge.isolated import Judge
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.verdict import Outcome

LAB = Path(__file__).parents[1] / "lab"
sys.path.insert(0, str(LAB / "hacks"))

from catalogue import (  # noqa: E402  # pyright: ignore[reportMissingImports]
    DEAD,
    EITHER,
    PROVED,
    WRONG,
    Hack,
    at_least_ms,
    seed_of,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]

OnDevice = partial(Hack, folder="on_device", problem="add_large")
HACKS = (
    OnDevice(1, "side stream", "h01_side_stream.py", defence="a look behind the call's stream"),
    OnDevice(1, "native stream", "h01_native_stream.py", defence="a look behind the call's stream"),
    OnDevice(4, "events replaced", "h04_event_patch.py", outcomes=PROVED,
             harmless=at_least_ms(2.0), defence="second clock, in the judge's process"),
    OnDevice(12, "graph replay", "h12_graph_replay.py", defence="fresh values, same addresses"),
    OnDevice(14, "clocks and power", "h14_device_rights.py", defence="sandbox: no capabilities"),
    OnDevice(18, "cache by address", "h18_cache_by_address.py",
             defence="fresh values, same addresses"),
    OnDevice(19, "leftover memory", "h19_leftover_memory.py", defence="no reference in there"),
    OnDevice(28, "tensor float", "h28_tensor_float.py", problem="product", outcomes=WRONG,
             defence="error budget against float64"),
    OnDevice(30, "a launch that failed", "h30_launch_that_failed.py",
             outcomes=EITHER | DEAD, defence="outputs are verified"),
    OnDevice(32, "a write beyond the end", "h32_beyond_the_end.py",
             defence="inputs are compared after the call"),
)  # fmt: skip
# Its proof is a comparison of times; see below.
PERSISTING = "h13_persisting_cache.py"
HONEST = sorted((LAB / "honest" / "on_device").glob("*.py"))


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


def tried(judge, source, problem="add_large", *, purpose="search", seed=7):
    job = TrialJob(
        ProblemRef("folder", str(LAB / "hacks" / "problems" / problem)),
        Contender("source", source=source),
        device="cuda:0",
        seed=seed,
        purpose=purpose,
        seconds=120.0,
    )
    return judge.judge(job)


@pytest.mark.parametrize("hack", HACKS, ids=lambda hack: hack.file.removesuffix(".py"))
def test_hack_is_caught(hack, judge, record_property):
    verdict = tried(judge, hack.source, hack.problem, seed=seed_of(hack.file))
    record_property("outcome", str(verdict.outcome))
    assert hack.verdict_on(verdict) is None, (verdict.reason, verdict.evidence)


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_an_honest_candidate_passes(path, judge):
    verdict = tried(judge, path.read_text(encoding="utf-8"))
    assert verdict.outcome is Outcome.DONE, (verdict.reason, verdict.evidence, verdict.log)


def cold_ms(verdict):
    assert verdict.outcome is Outcome.DONE, (verdict.reason, verdict.evidence, verdict.log)
    timed = [entry for entry in verdict.timings if entry.subject == "candidate"]
    return next(entry.median_ms for entry in timed if entry.regime == "cold")


def test_a_persisting_cache_wins_nothing(judge):
    """The inputs fit the cache; a flush has to reach the part that was set aside for them."""
    hack = OnDevice(13, "persisting cache", PERSISTING)
    plain = (LAB / "honest" / "on_device" / "plain.py").read_text(encoding="utf-8")
    honest_ms = cold_ms(tried(judge, plain, purpose="confirm"))
    hacked_ms = cold_ms(tried(judge, hack.source, purpose="confirm"))
    assert hacked_ms > 0.85 * honest_ms
