"""Honest candidates that do what hacks also do: threads, caches, workspaces, compilers."""

import shutil
import sys
from pathlib import Path

import pytest

from onetrip.lab.judge.isolated import Judge
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.verdict import Outcome

HERE = Path(__file__).parent
PROBLEMS = HERE.parent / "hacks" / "problems"
CANDIDATES = sorted((HERE / "candidates").glob("*.py"))
# The others add two vectors.
OF_PRODUCT = {"strided_made_contiguous", "prepared_constants"}
SECONDS = 90.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the judge's walls are Linux's")


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize("path", CANDIDATES, ids=lambda path: path.stem)
def test_an_honest_candidate_passes(path, judge, record_property):
    if path.stem == "c_compiler" and shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    problem = "product" if path.stem in OF_PRODUCT else "add"
    job = TrialJob(
        ProblemRef("folder", str(PROBLEMS / problem)),
        Contender("source", source=path.read_text(encoding="utf-8")),
        seed=0x5EED,
        seconds=SECONDS,
        memory_bytes=2 << 30,
    )
    verdict = judge.judge(job)
    record_property("outcome", str(verdict.outcome))
    record_property("reason", verdict.reason)
    assert verdict.outcome is Outcome.DONE, (verdict.reason, verdict.evidence, verdict.log)
    assert not verdict.quarantined
    assert verdict.timing("candidate")
