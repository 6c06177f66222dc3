"""Problems and candidates come in once; what is refused or makes no sense never waits."""

import json

import pytest

from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.order import waiting
from onetrip.lab.queue.submit import add_problem, submit

SOURCE = Contender("source", "def kernel(x): return x\n")


def submitted(lab, contender=SOURCE, **values):
    return submit(
        lab.connection, lab.problem_id, contender, **{"proposer": "person", "why": "w"} | values
    )


def test_a_problem_is_added_once_and_brought_up_to_date(lab):
    again = add_problem(lab.connection, lab.facts(brief="better words", weight=3.0))
    assert again == lab.problem_id
    row = lab.one("SELECT brief, weight FROM problem WHERE id = ?", lab.problem_id)
    assert tuple(row) == ("better words", 3.0)
    assert lab.events().count("problem.added") == 1


def test_another_tolerance_follows_and_the_first_stays(lab):
    add_problem(lab.connection, lab.facts(tolerance={"factor": 3.0}))
    rows = lab.connection.execute("SELECT policy FROM tolerance ORDER BY id").fetchall()
    assert [json.loads(row["policy"]) for row in rows] == [{"factor": 2.0}, {"factor": 3.0}]


def test_a_problem_that_nothing_could_load_is_not_added(lab):
    with pytest.raises(ArgumentError, match="location"):
        add_problem(lab.connection, lab.facts("other", spec={"path": "x"}))


def test_a_refused_problem_takes_nothing_and_says_why(lab):
    add_problem(lab.connection, lab.facts(refused="it accepts zeros"))
    with pytest.raises(UnsupportedError, match="it accepts zeros"):
        submitted(lab)
    assert waiting(lab.connection) == []
    assert "problem.refused" in lab.events()


def test_what_was_queued_before_the_refusal_does_not_run(lab):
    lab.queue()
    add_problem(lab.connection, lab.facts(refused="it accepts noise"))
    assert lab.claim() is None


def test_the_same_text_is_the_same_candidate_and_another_experiment(lab):
    first, second = submitted(lab), submitted(lab, proposer="agent:x")
    assert first.candidate_id == second.candidate_id
    assert first.experiment_id != second.experiment_id
    config = Contender("config", impl="torch", config={"rows": 1, "columns": 2})
    turned = Contender("config", impl="torch", config={"columns": 2, "rows": 1})
    assert submitted(lab, config).candidate_id == submitted(lab, turned).candidate_id
    other = Contender("config", impl="torch", config={"rows": 2, "columns": 1})
    assert submitted(lab, other).candidate_id != submitted(lab, config).candidate_id


def test_the_same_key_is_the_same_experiment_however_often_it_is_sent(lab):
    first = submitted(lab, idempotency_key="k")
    again = submitted(lab, Contender("source", "x = 2"), idempotency_key="k")
    assert (first.created, again.created) == (True, False)
    assert first.experiment_id == again.experiment_id
    assert len(waiting(lab.connection)) == 1
    assert lab.events().count("experiment.queued") == 1


def test_a_candidate_knows_what_it_was_made_from(lab):
    first = submitted(lab)
    child = submitted(lab, Contender("source", "x = 2"), parent_id=first.experiment_id)
    row = lab.one("SELECT parent_id FROM candidate WHERE id = ?", child.candidate_id)
    assert row["parent_id"] == first.candidate_id


def test_a_pruned_proposal_is_kept_with_its_reason_and_never_runs(lab):
    kept = submitted(lab, pruned="16 x 3 does not fit")
    row = lab.one("SELECT state, reason FROM experiment WHERE id = ?", kept.experiment_id)
    assert tuple(row) == ("pruned", "16 x 3 does not fit")
    assert lab.claim() is None


def test_a_study_asks_a_candidate_once_for_each_purpose(lab):
    first = submitted(lab, study_id=lab.study_id)
    again = submitted(lab, study_id=lab.study_id)
    confirm = submitted(lab, study_id=lab.study_id, purpose="confirm")
    assert (first.experiment_id, again.created) == (again.experiment_id, False)
    assert confirm.created


@pytest.mark.parametrize(
    ("contender", "values", "words"),
    [
        (Contender("definition"), {}, "source"),
        (Contender("source", "  \n"), {}, "text of a Python file"),
        (Contender("source", "x = '\ud800'"), {}, "Unicode"),
        (Contender("source", "#" * (5 << 20)), {}, "at most"),
        (SOURCE, {"purpose": "glory"}, "'glory'"),
        (SOURCE, {"proposer": " "}, "proposer"),
        (SOURCE, {"title": "t" * 300}, "at most 200"),
        (SOURCE, {"limits": {"secs": 3}}, "secs"),
        (SOURCE, {"hypothesis_id": 99}, "hypothesis"),
        (SOURCE, {"baseline_id": 99}, "candidate"),
        (SOURCE, {"parent_id": 99}, "experiment"),
        (SOURCE, {"campaign_id": 99}, "campaign"),
    ],
)
def test_what_makes_no_sense_says_so_and_leaves_nothing(lab, contender, values, words):
    with pytest.raises(ArgumentError, match=words):
        submitted(lab, contender, **values)
    assert lab.one("SELECT count(*) FROM experiment")[0] == 0
    assert lab.one("SELECT count(*) FROM candidate")[0] == 0


def test_a_problem_that_is_not_there_is_named(lab):
    with pytest.raises(ArgumentError, match="problem_id"):
        submit(lab.connection, 99, SOURCE, proposer="person", why="w")
