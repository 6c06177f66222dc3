from onetrip.lab.queue import claims
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
