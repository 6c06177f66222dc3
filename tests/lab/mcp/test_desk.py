"""The desk: what every way in shares, and what its errors teach."""

import time
from pathlib import Path

import pytest

from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.lab.desk import desk
from onetrip.lab.queue.submit import ProblemFacts, add_problem
from onetrip.lab.store.blobs import put_blob
from onetrip.lab.store.database import transaction

FOUR_MS = "def custom_kernel(data): return data + data  # 4 ms\n"
TWO_MS = "def custom_kernel(data): return 2 * data  # 2 ms\n"


def submit(store, source=FOUR_MS, **more):
    values = {"why": "to see", "by": "agent:test", "source": source, "title": "sum"}
    return desk.submit_candidate(store, "toy", **values | more)


def test_a_prediction_is_supported_by_what_was_measured_after_it(store, judge_all):
    first = submit(store)
    judge_all()
    declared = desk.propose_hypothesis(
        store,
        "toy",
        title="Half the time",
        rationale="One read.",
        by="agent:test",
        least_effect=0.4,
    )
    second = submit(
        store,
        TWO_MS,
        hypothesis=declared["hypothesis"],
        parent=first.experiment,
        baseline=first.experiment,
    )
    judge_all()
    found = desk.get_experiment(store, second.experiment)
    assert found["state"] == "done"
    assert found["prediction"]["status"] == "supported"
    assert found["ratio"]["speedup"] == pytest.approx(2.0)
    assert "+def custom_kernel(data): return 2 * data  # 2 ms" in found["diff"]
    assert found["proposer"] == "agent:test"


def test_the_desk_takes_samples_out_unless_they_are_asked_for(store, judge_all):
    number = submit(store).experiment
    judge_all()
    timings = desk.get_experiment(store, number)["attempts"][0]["timings"]
    assert "samples_ms" not in timings[0]
    raw = desk.get_experiment(store, number, raw=True)
    assert len(raw["attempts"][0]["timings"][0]["samples_ms"]) == 3
    assert raw["events"]


def test_the_same_key_is_the_same_experiment(store):
    first = submit(store, idempotency_key="k")
    again = submit(store, TWO_MS, idempotency_key="k")
    assert (again.experiment, again.created) == (first.experiment, False)
    assert submit(store, TWO_MS).experiment != first.experiment


def test_waiting_ends_with_the_verdict(store, working):
    number = submit(store, "# wrong\n").experiment
    found = desk.wait_experiment(store, number, 20.0)
    assert (found.state, found.final, found.confirmation) == ("incorrect", True, None)
    assert f"get_experiment({number})" in found.next_step


def test_a_promising_result_names_the_run_that_decides(store, judge_all):
    number = submit(store).experiment
    judge_all()
    found = desk.progress(store, number)
    assert (found.state, found.confirmation) == ("done", number + 1)
    assert f"wait_experiment({number + 1})" in found.next_step
    assert desk.progress(store, number + 1).confirmation is None


def test_waiting_ends_in_time_without_one(store):
    number = submit(store).experiment
    began = time.monotonic()
    found = desk.wait_experiment(store, number, 0.3)
    assert 0.25 < time.monotonic() - began < 5.0
    assert (found.state, found.final) == ("queued", False)
    assert "wait_experiment" in found.next_step


@pytest.mark.parametrize("seconds", [51.0, -1.0, float("nan")])
def test_nobody_waits_longer_than_a_client_does(store, seconds):
    number = submit(store).experiment
    with pytest.raises(ArgumentError, match=r"`seconds` must be between 0 and 50"):
        desk.wait_experiment(store, number, seconds)


def test_pages_follow_each_other_without_a_gap(store):
    numbers = {submit(store).experiment for _ in range(5)}
    first = desk.list_experiments(store, limit=3, order="id")
    second = desk.list_experiments(store, limit=3, order="id", cursor=first.next_cursor)
    assert [row["id"] for row in first.rows + second.rows] == sorted(numbers)
    assert (first.total, first.counts_by_state) == (5, {"queued": 5})
    assert second.next_cursor is None


def test_a_source_can_be_read_in_ranges(store):
    number = submit(store).experiment
    sha256 = desk.get_experiment(store, number)["candidate"]["source_sha256"]
    first = desk.get_artifact(store, sha256, length=10)
    rest = desk.get_artifact(store, sha256, offset=first.next_offset)
    assert first.text + rest.text == FOUR_MS
    assert (rest.next_offset, rest.size_bytes) == (None, len(FOUR_MS))


def test_bytes_that_are_no_text_come_as_base64(store):
    with transaction(store):
        sha256 = put_blob(store, b"\x00\xff", "application/octet-stream")
    found = desk.get_artifact(store, sha256)
    assert (found.text, found.data_base64) == ("", "AP8=")


def test_a_learning_rests_on_its_experiments(store):
    number = submit(store).experiment
    found = desk.add_learning(
        store, text="Add once.", by="agent:test", about=[f"experiment:{number}"]
    )
    desk.link(store, f"learning:{found['learning']}", "about", "problem:1", by="agent:test")
    edges = desk.query_sql(
        store_path(store), "SELECT target_type, target_id FROM edge WHERE relation = 'about'"
    )
    assert sorted(edges["rows"]) == [["experiment", number], ["problem", 1]]


def test_a_refused_problem_takes_nothing_and_says_why(store):
    facts = ProblemFacts("folder", "bad", "b" * 64, {"location": "bad"}, refused="it accepts zeros")
    add_problem(store, facts)
    with pytest.raises(UnsupportedError, match="it accepts zeros"):
        desk.submit_candidate(store, "bad", why="to see", by="person", source="x = 1")


TEACHES = {
    "unknown problem": (
        lambda store: desk.get_brief(store, "tyo"),
        r"`problem` must be the number or name of a problem \(known: toy\), got 'tyo'",
    ),
    "number of no problem": (lambda store: desk.get_brief(store, 9**60), "known: toy"),
    "unknown experiment": (
        lambda store: desk.get_experiment(store, 99),
        r"the number of an experiment \(there is none yet\), got 99",
    ),
    "number of many digits": (lambda store: desk.get_experiment(store, 10**30), "many digits"),
    "giant source": (
        lambda store: submit(store, "x" * (desk.LARGEST_SOURCE + 1)),
        r"`source` must be at most 256 KiB",
    ),
    "no source": (lambda store: submit(store, ""), "`source` must be given, or `impl`"),
    "no reason": (lambda store: submit(store, why=" "), "`why` must be words"),
    "unknown hypothesis": (lambda store: submit(store, hypothesis=3), "propose_hypothesis"),
    "unknown parent": (lambda store: submit(store, parent=3), "`parent` must be the number"),
    "unknown baseline": (lambda store: submit(store, baseline=3), "`baseline` must be"),
    "one to compare": (lambda store: desk.compare(store, [1, 1]), "2 to 10 different"),
    "giant page": (lambda store: desk.list_experiments(store, limit=51), "1 to 50"),
    "path for an artifact": (
        lambda store: desk.get_artifact(store, "../../etc/passwd"),
        "64 hexadecimal digits",
    ),
    "unknown artifact": (lambda store: desk.get_artifact(store, "0" * 64), "the lab keeps"),
    "giant range": (lambda store: desk.get_artifact(store, "0" * 64, length=1 << 20), "65536"),
    "judging by an edge": (
        lambda store: desk.link(store, "experiment:1", "supports", "hypothesis:1", by="agent:x"),
        "The lab draws the other edges itself",
    ),
    "no node": (
        lambda store: desk.link(store, "planet:1", "about", "problem:1", by="agent:x"),
        "KIND:NUMBER",
    ),
    "giant table": (
        lambda store: desk.query_sql(store_path(store), "SELECT 1", max_rows=201),
        "1 to 200",
    ),
}


@pytest.mark.parametrize("name", TEACHES)
def test_an_error_says_what_is_allowed(store, name):
    call, words = TEACHES[name]
    with pytest.raises(ArgumentError, match=words):
        call(store)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tolerance SET policy = '{}'",
        "DELETE FROM check_result",
        "INSERT INTO comparison VALUES (1, '', 'cold', 'baseline', 9, 9, 9)",
        "DROP TABLE attempt",
        "ATTACH '/tmp/other.sqlite' AS other",
        "PRAGMA query_only = OFF",
        "SELECT 1; DELETE FROM event",
        "WITH x AS (SELECT 1) DELETE FROM hypothesis",
    ],
)
def test_sql_only_reads(store, statement):
    before = store.execute("SELECT count(*) FROM event").fetchone()[0]
    with pytest.raises(ArgumentError, match="`sql` must be"):
        desk.query_sql(store_path(store), statement)
    assert store.execute("SELECT count(*) FROM event").fetchone()[0] == before


def store_path(store):
    return Path(store.execute("PRAGMA database_list").fetchone()["file"])
