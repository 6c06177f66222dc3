"""Titles: won by two runs that agree, lost when what they rest on falls."""

import pytest

from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.lab.queue import champions
from onetrip.lab.queue.after import settle
from onetrip.lab.queue.claims import invalidate
from onetrip.lab.verdict import Comparison, Outcome, Verdict

NO_FOLLOWERS = ()
TITLES = ("onetrip.lab.queue.titles:follow",)


def champion(lab):
    row = lab.one("SELECT experiment_id FROM champion WHERE until IS NULL")
    return row and row["experiment_id"]


def confirmed(lab, source, search=None, confirm=None):
    """Search and confirmation of a source, both answered, nothing promoted yet."""
    lab.run(search or lab.won(), source=source)
    return lab.run(confirm or lab.won(), source=source, purpose="confirm")


def promote(lab, experiment_id):
    return champions.promote(lab.connection, experiment_id, lab.study_id, "it won twice")


def last_attempt(lab, experiment_id):
    return lab.one("SELECT max(id) FROM attempt WHERE experiment_id = ?", experiment_id)[0]


def test_two_runs_that_agree_win_the_title(lab):
    first = confirmed(lab, "x = 1\n")
    title = promote(lab, first)
    assert champion(lab) == first
    assert promote(lab, first) == title
    assert lab.events().count("champion.new") == 1


@pytest.mark.parametrize(
    ("search", "confirm", "words"),
    [
        ({}, {"speedup": 1.04}, "no gain over the baseline"),
        ({}, {"speedup": 0.9}, "no gain over the baseline"),
        ({"speedup": 1.04}, {}, "no other run agrees"),
        ({"quarantined": "below the floor"}, {}, "no other run agrees"),
        ({}, {"quarantined": "below the floor"}, "below the floor"),
        ({}, {"comparisons": ()}, "not compared"),
        ({}, {"comparisons": (Comparison("eager", 9.0, 8.0, 10.0),)}, "not compared"),
    ],
)
def test_anything_less_wins_nothing(lab, search, confirm, words):
    number = confirmed(lab, "x = 1\n", lab.won(**search), lab.won(**confirm))
    with pytest.raises(UnsupportedError, match=words):
        promote(lab, number)
    assert champion(lab) is None


def test_a_search_never_promotes_however_fast(lab):
    number = lab.run(lab.won(9.0), source="x = 1\n")
    with pytest.raises(UnsupportedError, match="no confirmation"):
        promote(lab, number)


def test_what_did_not_end_well_wins_nothing(lab):
    lab.run(lab.won(), source="x = 1\n")
    wrong = lab.run(Verdict(Outcome.INCORRECT), source="x = 1\n", purpose="confirm")
    with pytest.raises(UnsupportedError, match="incorrect"):
        promote(lab, wrong)


def test_the_holder_must_be_beaten_not_only_a_slow_parent(lab):
    promote(lab, confirmed(lab, "x = 1\n"))
    slow = lab.run(lab.won(0.5), source="x = 0\n")
    parent = lab.one("SELECT candidate_id FROM experiment WHERE id = ?", slow)[0]
    search = lab.run(lab.won(1.5), source="x = 2\n", baseline_id=parent)
    blind = lab.run(lab.won(1.5), source="x = 2\n", purpose="confirm", baseline_id=parent)
    with pytest.raises(UnsupportedError, match="not measured against the champion"):
        promote(lab, blind)
    both = lab.won(1.5)
    worse = Comparison("champion", 0.9, 0.85, 0.95)
    beside = Verdict(Outcome.DONE, timings=both.timings, comparisons=(*both.comparisons, worse))
    seen = lab.run(beside, source="x = 2\n", purpose="confirm", baseline_id=parent)
    with pytest.raises(UnsupportedError, match="over the champion"):
        promote(lab, seen)
    assert lab.state(search) == "done"


def test_workloads_count_together_by_their_geometric_mean(lab):
    def pair(workload, speedup, regime="cold"):
        return Comparison("baseline", speedup, speedup * 0.99, speedup * 1.01, workload, regime)

    mixed = lab.won(comparisons=(pair("a", 2.0), pair("b", 0.5), pair("a", 9.0, "warm")))
    number = lab.run(mixed, source="x = 1\n")
    found = champions.measured_speedup(lab.connection, number)
    assert isinstance(found, champions.Speedup)
    assert found.middle == pytest.approx(1.0)
    assert found.low < 1.0 < found.high
    # Two intervals of one per cent leave one of less than one per cent.
    assert found.high - 1.0 < 0.01


def test_an_invalid_measurement_takes_the_title_and_the_one_before_returns(lab):
    first = confirmed(lab, "x = 1\n")
    promote(lab, first)
    second = confirmed(lab, "x = 2\n")
    promote(lab, second)
    assert champion(lab) == second
    invalidate(lab.connection, last_attempt(lab, second), "the clock was wrong")
    assert champion(lab) == first
    assert lab.state(second) == "queued"
    assert lab.state(first) == "done"
    assert "experiment.invalidated" in lab.events()
    history = lab.connection.execute("SELECT until IS NULL FROM champion ORDER BY id").fetchall()
    assert [row[0] for row in history] == [0, 0, 1]


def test_the_search_that_agreed_is_part_of_the_title(lab):
    only = confirmed(lab, "x = 1\n")
    promote(lab, only)
    search = lab.one("SELECT min(id) FROM experiment")[0]
    invalidate(lab.connection, last_attempt(lab, search), "the device was hot")
    assert champion(lab) is None
    assert lab.state(search) == "queued"
    assert "champion.withdrawn" in lab.events()


def test_a_title_whose_ground_fell_too_does_not_return(lab):
    first = confirmed(lab, "x = 1\n")
    promote(lab, first)
    second = confirmed(lab, "x = 2\n")
    promote(lab, second)
    invalidate(lab.connection, last_attempt(lab, first), "the device was hot")
    assert champion(lab) == second
    invalidate(lab.connection, last_attempt(lab, second), "the device was hot")
    assert champion(lab) is None


def test_an_old_attempt_made_invalid_leaves_the_newer_answer(lab):
    number = lab.run(lab.won(), source="x = 1\n")
    invalidate(lab.connection, last_attempt(lab, number), "a bug")
    lab.answer(lab.won())
    invalidate(lab.connection, 1, "the same bug, told twice")
    assert lab.state(number) == "done"


def test_only_an_answer_can_be_made_invalid_and_only_with_a_reason(lab):
    lab.queue()
    claimed = lab.claim()
    for attempt_id, why in (
        (claimed.attempt_id, "a bug"),
        (99, "a bug"),
        (claimed.attempt_id, " "),
    ):
        with pytest.raises(ArgumentError):
            invalidate(lab.connection, attempt_id, why)
    assert lab.state(claimed.experiment_id) == "running"


def test_a_winner_is_confirmed_and_crowned_without_anybodys_hand(lab):
    search = lab.run(lab.won(), source="x = 1\n", title="tile")
    settle(lab.connection, search, TITLES)
    settle(lab.connection, search, TITLES)
    claimed = lab.claim()
    assert (claimed.purpose, claimed.proposer, claimed.title) == ("confirm", "lab", "tile")
    assert lab.claim() is None
    lab.answer(lab.won(), claimed)
    settle(lab.connection, claimed.experiment_id, TITLES)
    assert champion(lab) == claimed.experiment_id
    lab.queue("x = 2\n")
    assert lab.claim().rivals["baseline"].source == "x = 1\n"


def test_what_lost_is_not_confirmed(lab):
    for verdict in (lab.won(0.9), lab.won(1.01), Verdict(Outcome.CRASHED)):
        settle(lab.connection, lab.run(verdict), TITLES)
    assert lab.claim() is None


def test_a_confirmation_against_an_old_champion_is_asked_for_again(lab):
    lab.run(lab.won(), source="x = 1\n")
    lab.queue("x = 1\n", purpose="confirm")
    stale = lab.claim()
    promote(lab, confirmed(lab, "x = 2\n"))
    lab.answer(lab.won(), stale)
    settle(lab.connection, stale.experiment_id, TITLES)
    again = lab.claim()
    assert again.purpose == "confirm"
    assert again.rivals["baseline"].source == "x = 2\n"
    lab.answer(lab.won(), again)
    settle(lab.connection, again.experiment_id, TITLES)
    assert champion(lab) == again.experiment_id
