"""What runs, what waits and why, on which devices."""

import json
import shutil
import time
from pathlib import Path

from onetrip.lab.store.database import connect
from onetrip.lab.views.now import campaigns, devices, now
from onetrip.lab.views.queue import queue


def test_moment_of_the_lab(lab):
    found = now(lab)
    assert json.loads(json.dumps(found)) == found
    assert [row["stage"] for row in found["running"]] == ["verify", "time"]
    first = found["running"][0]
    assert first["elapsed_s"] > 0
    assert first["left_s"] < 20
    assert {(row["host"], row["device"]) for row in found["devices"]} == {
        ("bench", "cpu"),
        ("bench", "cuda:0"),
    }
    assert found["devices"][1]["sample"]["memory_total_bytes"] == 140 << 30
    assert found["last_seq"] == lab.execute("SELECT max(seq) FROM event").fetchone()[0]
    assert (
        sum(found["counts_by_state"].values())
        == lab.execute("SELECT count(*) FROM experiment").fetchone()[0]
    )
    assert len(found["champions"]) == 3
    assert found["open_hypotheses"]["open"] == 1


def test_time_left_is_told_from_earlier_attempts_where_nobody_said(thousand, tmp_path):
    lab = connect(Path(shutil.copy(thousand, tmp_path)))
    lab.execute("UPDATE experiment SET expected_s = NULL WHERE state IN ('running', 'queued')")
    first = now(lab)["running"][0]
    (typical_s,) = lab.execute(
        "SELECT avg(amount) FROM ledger JOIN experiment ON experiment.id = experiment_id"
        " JOIN candidate ON candidate.id = candidate_id"
        " WHERE ledger.kind = 'wall_s' AND problem_id = ?",
        (first["problem_id"],),
    ).fetchone()
    assert first["expected_s"] == typical_s
    assert first["left_s"] == max(0.0, typical_s - first["elapsed_s"])
    waiting = queue(lab)["waiting"]
    assert all(row["starts_in_s"] is not None for row in waiting)
    assert waiting[-1]["starts_in_s"] > 0
    lab.execute("DELETE FROM ledger")
    assert now(lab)["running"][0]["left_s"] is None
    lab.close()


def test_newest_sample_of_each_device(lab):
    newest = dict(
        lab.execute("SELECT device, max(at) FROM device_sample GROUP BY device").fetchall()
    )
    assert {row["device"]: row["at"] for row in now(lab)["devices"]} == newest


def test_day_of_samples_costs_no_time(connection):
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80000)"
        " INSERT INTO device_sample SELECT i, 'host', device, '{}'"
        " FROM n, (SELECT 'cpu' AS device UNION SELECT 'cuda:0')"
    )
    started = time.process_time()
    found = devices(connection)
    # A fifth of a millisecond; a walk through them takes a hundred times that.
    assert time.process_time() - started < 0.01
    assert [(row["device"], row["at"]) for row in found] == [("cpu", 80000), ("cuda:0", 80000)]


def test_workers_show_no_token_and_the_silent_one_is_gone(lab):
    found = now(lab)["workers"]
    assert {row["name"]: row["gone"] for row in found}["far"] is True
    token = lab.execute("SELECT token_sha256 FROM worker WHERE name = 'far'").fetchone()[0]
    assert token not in json.dumps(found)


def test_campaigns_know_what_they_cost(lab):
    (first, *_) = campaigns(lab)
    spent = lab.execute(
        "SELECT sum(amount) FROM ledger WHERE kind = 'gpu_s' AND campaign_id = ?", (first["id"],)
    ).fetchone()[0]
    assert first["spent"]["gpu_s"] == spent > 0
    assert first["budget"]["usd"] == 5.0
    assert sum(first["counts_by_state"].values()) > 10
    assert campaigns(lab, ended=True) == []


def test_queue_stands_in_the_order_of_its_turn(lab):
    found = queue(lab)
    assert json.loads(json.dumps(found)) == found
    waiting = found["waiting"]
    assert waiting[0]["pinned"] == 1
    assert waiting[0]["why_here"].startswith("pinned")
    priorities = [row["priority"] for row in waiting[1:]]
    assert priorities == sorted(priorities, reverse=True)
    assert [row["position"] for row in waiting] == list(range(1, found["total_waiting"] + 1))
    told = [row for row in waiting[1:] if row["terms"]]
    assert told[0]["why_here"].startswith("up ")
    assert set(told[0]["terms"]) == {"gain", "information", "age", "cost"}
    assert waiting[2]["starts_in_s"] == 40.0
    assert {row["state"] for row in found["paused"]} == {"paused"}
    assert found["expected_s"] == 20.0 * found["total_waiting"]
    assert len(queue(lab, limit=3)["waiting"]) == 3


def test_empty_lab_has_an_answer_for_everything(connection):
    from onetrip.lab.knowledge.graph import graph
    from onetrip.lab.knowledge.words import search
    from onetrip.lab.views.experiments import list_experiments
    from onetrip.lab.views.hypotheses import hypothesis, list_hypotheses
    from onetrip.lab.views.learnings import list_learnings
    from onetrip.lab.views.problems import list_problems
    from onetrip.lab.views.results import best_so_far, importance, pareto, roofline

    assert list_experiments(connection).rows == []
    assert queue(connection)["waiting"] == []
    assert now(connection)["running"] == []
    assert now(connection)["at"] <= time.time()
    assert list_problems(connection) == list_hypotheses(connection) == []
    assert list_learnings(connection) == search(connection, "x") == []
    assert hypothesis(connection, 1) is None
    assert graph(connection).nodes == []
    for view in (best_so_far, roofline, pareto, importance):
        assert view(connection, 1)["studies"] == []
