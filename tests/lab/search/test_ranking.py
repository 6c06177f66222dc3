"""Which is best: paired, drift taken out, confirmations first."""

import dataclasses

from onetrip.lab.search.ranking import best, front, scores
from onetrip.lab.store.history import Trial
from onetrip.lab.verdict import Outcome, Verdict


def trial(number, verdict, size=None, purpose="search", state=None):
    return Trial(
        experiment_id=number,
        impl="torch",
        config={"size": number if size is None else size},
        purpose=purpose,
        proposer="startup",
        why="",
        parent_id=None,
        state=state or verdict.outcome.value,
        reason="",
        campaign_id=1,
        seconds=1.0,
        verdict=verdict,
    )


def leader_of(trials, objective="latency"):
    leader = best(scores(trials), objective)
    return None if leader is None else leader.trial.experiment_id


def test_a_slow_minute_does_not_count_against_whoever_ran_in_it(make):
    fast_minute = make.done(1.1, latency_ms=1.0, config={"size": 0})
    slow_minute = make.done(1.5, latency_ms=2.0, config={"size": 0})
    assert leader_of([trial(1, fast_minute), trial(2, slow_minute)]) == 2


def test_the_default_is_no_faster_than_itself(make):
    lucky = make.done(1.4, config={"size": 1})
    better = make.done(1.2, config={"size": 1})
    assert leader_of([trial(1, lucky), trial(2, better)]) == 2


def test_a_confirmation_replaces_what_the_search_saw(make):
    search = [trial(1, make.done(1.5)), trial(2, make.done(1.3))]
    assert leader_of(search) == 1
    fell = trial(3, make.done(1.01), size=1, purpose="confirm")
    assert leader_of([*search, fell]) == 2


def test_one_that_proves_wrong_when_confirmed_is_out(make):
    search = [trial(1, make.done(1.5)), trial(2, make.done(1.3))]
    wrong = trial(3, Verdict(Outcome.INCORRECT, "wrong"), size=1, purpose="confirm")
    assert leader_of([*search, wrong]) == 2


def test_an_interrupted_confirmation_says_nothing(make):
    search = [trial(1, make.done(1.5)), trial(2, make.done(1.3))]
    lost = Verdict(Outcome.INFRA_LOST, "Ctrl-C")
    assert leader_of([*search, trial(3, lost, size=1, purpose="confirm", state="queued")]) == 1


def test_only_what_is_right_and_timed_counts(make):
    trials = [
        trial(1, Verdict(Outcome.INCORRECT, "wrong")),
        trial(2, Verdict(Outcome.TIMEOUT, "slow")),
        dataclasses.replace(trial(3, make.done(2.0)), verdict=None, state="queued"),
    ]
    assert scores(trials) == []
    assert leader_of(trials) is None


def test_memory_decides_first_and_time_between_equals(make):
    trials = [
        trial(1, make.done(2.0, peak_bytes=900)),
        trial(2, make.done(1.1, peak_bytes=500)),
        trial(3, make.done(1.2, peak_bytes=500)),
    ]
    assert leader_of(trials, "memory") == 3


def test_pareto_takes_the_fastest_that_costs_no_more_than_the_default(make):
    # The default's peak is 1000.
    trials = [
        trial(1, make.done(2.0, peak_bytes=1100)),
        trial(2, make.done(1.5, peak_bytes=1004)),
        trial(3, make.done(1.4, peak_bytes=500)),
    ]
    assert leader_of(trials, "pareto") == 2
    assert leader_of(trials) == 1


def test_the_front_holds_what_nothing_beats_in_both(make):
    trials = [
        trial(1, make.done(2.0, peak_bytes=1100)),
        trial(2, make.done(1.5, peak_bytes=1200)),
        trial(3, make.done(1.4, peak_bytes=500)),
        trial(4, make.done(1.4, peak_bytes=500)),
    ]
    assert [score.trial.experiment_id for score in front(scores(trials))] == [1, 3, 4]
