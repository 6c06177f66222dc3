"""An accusation that rests on times is looked into once more; one that rests on bytes is not."""

import pytest

from onetrip.lab.judge import findings, isolated
from onetrip.lab.judge.isolated import Judge
from onetrip.lab.judge.ruling import Ruling
from onetrip.lab.judge.suspicion import CONTROL, after_both, once_more
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.verdict import Comparison, Outcome, Timing, Verdict

JOB = TrialJob(ProblemRef("folder", "x"), Contender("source", source="x"), seed=7)
SUSPECTED = Verdict(
    Outcome.HACKED, "0.1 ms and 9 ms", evidence={"rule": "clock disagreement"}, gpu_s=1.0
)
PROVED = Verdict(Outcome.HACKED, "a late write", evidence={"rule": "late write"})
RIGHT = Verdict(
    Outcome.DONE,
    timings=tuple(
        Timing(name, "source", {}, (1.0,), 1.0, 1.0, 1.0, None) for name in ("candidate", CONTROL)
    ),
    comparisons=(Comparison(CONTROL, 2.0, 1.9, 2.1), Comparison("baseline", 1.5, 1.4, 1.6)),
    gpu_s=2.0,
)
WRONG = Verdict(Outcome.INCORRECT, "two rows")


@pytest.fixture
def judged(monkeypatch):
    """What becomes of trials that end so, and the jobs that they were."""

    def judged(*ends):
        jobs, left = [], iter(ends)

        def once(self, job, *rest):
            jobs.append(job)
            return next(left)

        monkeypatch.setattr(Judge, "_once", once)
        return Judge().judge(JOB), jobs

    return judged


@pytest.mark.parametrize("end", [RIGHT, WRONG, PROVED])
def test_what_needs_no_clock_is_said_at_once(judged, end):
    assert judged(end) == (end, [JOB])


def test_who_is_right_beside_a_control_is_believed(judged):
    verdict, (first, second) = judged(SUSPECTED, RIGHT)
    assert verdict.outcome is Outcome.DONE
    assert [timing.subject for timing in verdict.timings] == ["candidate"]
    assert [pair.baseline for pair in verdict.comparisons] == ["baseline"]
    assert verdict.evidence["suspected at first"] == SUSPECTED.reason
    assert verdict.gpu_s == 3.0
    assert second.rivals == {CONTROL: Contender("definition")}
    assert second.seed != first.seed


@pytest.mark.parametrize("end", [SUSPECTED, PROVED, WRONG])
def test_the_second_trial_decides(judged, end):
    verdict, _ = judged(SUSPECTED, end)
    assert (verdict.outcome, verdict.reason) == (end.outcome, end.reason)


@pytest.mark.parametrize(
    "end",
    [Verdict(Outcome.TIMEOUT, "no time"), Verdict(Outcome.DONE, evidence={"control is out": ""})],
)
def test_without_a_control_the_first_verdict_stays(end):
    verdict = after_both(SUSPECTED, end)
    assert (verdict.outcome, verdict.reason) == (Outcome.HACKED, SUSPECTED.reason)


def test_a_trial_may_be_repeated_only_with_other_data():
    assert once_more(JOB) == once_more(JOB)
    assert once_more(JOB).seed not in (JOB.seed, once_more(once_more(JOB)).seed)


def test_an_honest_candidate_that_was_suspected_is_timed_again(attempt, honest, monkeypatch):
    accused = []

    def accuse_once(trial):
        if not accused:
            accused.append(list(trial.sides))
            raise Ruling(Outcome.HACKED, "it seems so", {"rule": "clock disagreement"})
        accused.append(list(trial.sides))

    monkeypatch.setattr(findings, "hold_clocks_together", accuse_once)
    assert isolated.findings is findings
    verdict = attempt(honest)
    assert accused == [["candidate"], ["candidate", CONTROL]]
    assert verdict.outcome is Outcome.DONE, verdict
    assert {timing.subject for timing in verdict.timings} == {"candidate"}
    assert verdict.comparisons == ()
