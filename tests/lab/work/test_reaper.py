from onetrip.lab.queue import claims
from onetrip.lab.verdict import Outcome, Verdict
from onetrip.lab.work import tasks
from onetrip.lab.work.reaper import reaping


def test_a_lapsed_lease_is_taken_back_without_a_worker(database, connection, work):
    experiment = work.submit("COST = 1.0")
    worker = claims.register_worker(connection, "far", "http", {})
    claim = claims.claim(connection, worker, seed=1, lease_s=0.05)
    assert claim is not None
    with reaping(database, every_s=0.05):
        work.wait(lambda: work.states() == {experiment: "queued"})
    outcome = connection.execute("SELECT outcome FROM attempt").fetchone()["outcome"]
    assert outcome == "infra_lost"


def test_what_follows_from_an_answer_is_made_up_for(database, connection, work, monkeypatch):
    """The process was killed between its answer and what follows from it."""
    answered = work.submit("COST = 1.0")
    waiting = work.submit("COST = 2.0")
    worker = claims.register_worker(connection, "near", "local", {})
    claim = claims.claim(connection, worker, seed=1)
    assert claim is not None
    claims.finish(connection, claim.attempt_id, claim.n, Verdict(Outcome.CRASHED, "fell over"))
    assert claim.experiment_id == answered
    followed = []
    monkeypatch.setattr(tasks, "settle", lambda _, experiment: followed.append(experiment))
    assert tasks.settle_left_over(connection) == []
    monkeypatch.setattr(tasks, "SETTLES_WITHIN_S", 0.0)
    with reaping(database, every_s=0.05):
        work.wait(lambda: followed == [answered])
    assert tasks.settle_left_over(connection) == []
    assert work.states()[waiting] == "queued"
