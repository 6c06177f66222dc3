"""The judge on the toy: every way of being wrong has its outcome, and right is timed.

Most cases run in this process; what ends a process runs in the real worker.
"""

import pytest

from onetrip.lab.judge.failure import Stage, describe, verdict_of_death
from onetrip.lab.judge.job import Contender, JudgeJob, ProblemRef
from onetrip.lab.judge.process import run_job
from onetrip.lab.verdict import Outcome, verdict_from

RIGHT = {"size": 1, "unroll": 1, "defect": 0}


def job(seconds=60.0, **changes):
    values = {
        "problem": ProblemRef("toy", "small", None, "cpu"),
        "candidate": Contender("torch", RIGHT),
        "baselines": {"default": Contender("torch", {**RIGHT, "size": 2})},
        "eager": True,
        "eager_timed": True,
        "backward": True,
        "seed": 2**62 + 1,
        "truth_rows": None,
        "warmup": 2,
        "samples": 6,
        "seconds_each": 0.2,
        "memory_bytes": 1 << 30,
        "seconds": seconds,
    }
    return JudgeJob(**values | changes)


@pytest.fixture
def judge(toy):
    """Judge one configuration of the toy in this process, as the worker would."""
    from onetrip.lab.judge.judge import judge as real_judge

    def judge(**changes):
        stage = Stage(lambda message: None)
        try:
            return real_judge(job(**changes), stage)
        except Exception as error:
            return verdict_from(describe(error, stage.name))

    return judge


@pytest.fixture
def judge_apart(make, monkeypatch, tmp_path):
    """Judge one configuration of the toy in the real worker."""
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))

    def judge(**changes):
        asked = job(**changes)
        stages = []
        ended = run_job(
            asked.as_dict(),
            seconds=asked.seconds,
            on_message=lambda message: stages.append(message["stage"]),
            command=make.toy_worker,
        )
        if ended.answer is None:
            return verdict_of_death(ended, stages[-1], asked.seconds)
        return verdict_from(ended.answer)

    return judge


def defective(defect):
    return {"candidate": Contender("torch", {**RIGHT, "defect": defect})}


def test_a_right_candidate_is_verified_and_timed_beside_its_baselines(judge_apart):
    verdict = judge_apart()
    assert verdict.outcome is Outcome.DONE
    assert verdict.scope == "all rows against float64"
    assert {check.tensor for check in verdict.checks} == {"y", "gradient of x"}
    assert all(check.passed for check in verdict.checks)
    assert {timing.subject for timing in verdict.timings} == {"candidate", "default", "eager"}
    assert all(len(timing.samples_ms) >= 5 for timing in verdict.timings)
    assert all(timing.peak_bytes for timing in verdict.timings)
    assert {pair.baseline for pair in verdict.comparisons} == {"default", "eager"}
    own = verdict.timing("candidate")
    assert own is not None
    assert own.config == RIGHT


def test_a_part_of_the_rows_has_a_truth_and_the_whole_is_compared(judge):
    verdict = judge(truth_rows=32)
    assert verdict.outcome is Outcome.DONE
    assert verdict.scope.startswith("32 rows (axis N) against float64")
    assert "the whole problem" in verdict.scope
    assert {"y", "y (full size)"} <= {check.tensor for check in verdict.checks}


def test_what_is_wrong_outside_the_rows_with_a_truth_is_found_at_full_size(judge):
    # Right on every 32 rows that it is shown, wrong on the 64 that it is timed on.
    verdict = judge(truth_rows=32, **defective(11))
    assert verdict.outcome is Outcome.INCORRECT
    assert "whole problem" in verdict.reason
    assert verdict.timings == ()


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        (1, "`y` exceeds its budget at 1 of"),
        (2, "gradient of x"),
        (3, "actual nan"),
        (4, "changed its input `x`"),
        (13, "actual nan"),
    ],
)
def test_a_wrong_candidate_is_incorrect_and_never_timed(judge, defect, words):
    verdict = judge(**defective(defect))
    assert verdict.outcome is Outcome.INCORRECT
    assert words in " ".join([verdict.reason, *(check.message for check in verdict.checks)])
    assert verdict.timings == ()


@pytest.mark.parametrize(
    ("defect", "outcome", "words"),
    [
        (5, Outcome.CRASHED, "ValueError: the toy broke"),
        (9, Outcome.OUT_OF_MEMORY, "memory"),
        (10, Outcome.COMPILE_ERROR, "no such layout"),
    ],
)
def test_a_candidate_that_raises_has_its_outcome(judge, defect, outcome, words):
    verdict = judge(**defective(defect))
    assert verdict.outcome is outcome
    assert words in verdict.reason
    assert "while running the candidate" in verdict.reason
    assert "toy" in str(verdict.evidence["traceback"])


def test_memory_is_limited_to_what_was_free(judge):
    """The configuration's work needs a few kilobytes: a limit of nothing at all is in its way."""
    verdict = judge(memory_bytes=0, problem=ProblemRef("toy", "large", None, "cpu"))
    assert verdict.outcome is Outcome.OUT_OF_MEMORY


def test_an_error_crosses_from_the_worker_as_an_outcome(judge_apart):
    verdict = judge_apart(**defective(5))
    assert verdict.outcome is Outcome.CRASHED
    assert "ValueError: the toy broke" in verdict.reason


def test_a_segmentation_fault_is_an_outcome(judge_apart):
    verdict = judge_apart(**defective(6))
    assert verdict.outcome is Outcome.CRASHED
    assert "SIGSEGV" in verdict.reason
    assert "while running the candidate" in verdict.reason


def test_a_default_that_fails_takes_only_its_own_time_away(judge):
    broken = Contender("torch", {**RIGHT, "defect": 5})
    verdict = judge(baselines={"default": broken})
    assert verdict.outcome is Outcome.DONE
    assert verdict.timing("default") is None
    assert verdict.against("default") is None
    assert "the toy broke" in str(verdict.evidence["default failed"])
