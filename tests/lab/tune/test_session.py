"""A whole tune of the toy with a worker that answers in milliseconds."""

import json
import sys

import pytest

from onetrip.core import tuning
from onetrip.core.errors import ArgumentError, MissingDependencyError, UnsupportedError
from onetrip.core.operators import operator_module
from onetrip.core.selection import Problem
from onetrip.lab.queue import order
from onetrip.lab.queue.claims import invalidate
from onetrip.lab.store.database import connect
from onetrip.lab.tune import attempts as attempts_module
from onetrip.lab.tune.promotion import Standing
from onetrip.lab.tune.request import TuneRequest
from onetrip.lab.tune.session import tune
from onetrip.lab.tune.watcher import Watcher

PROBLEM = Problem({"N": 64, "D": 16}, "float32", device_name="laptop")
BEST = {"size": 8, "unroll": 3, "defect": 0}


class Recorder(Watcher):
    def __init__(self):
        self.notes, self.stages, self.tried, self.judgements = [], [], [], []
        self.known = None

    def note(self, text):
        self.notes.append(text)

    def preparing(self, stage, share):
        self.stages.append((stage, share))

    def opened(self, opened, trials):
        self.known = opened.known

    def trying(self, claim, stage):
        self.tried.append((claim.experiment_id, stage))

    def judged(self, trials, experiment_id):
        self.judgements.append(experiment_id)


@pytest.fixture
def run(toy, database, make):
    def run(watcher=None, **request):
        request = {"operator": "toy", "budget_s": 60.0} | request
        return tune(
            TuneRequest(**request),
            watcher or Recorder(),
            database=database,
            command=make.quick_worker,
        )

    return run


def test_the_space_is_exhausted_and_the_best_goes_into_the_users_table(run, database):
    watcher = Recorder()
    found = run(watcher)
    assert found.stopped == "exhausted"
    assert found.leader is not None
    assert found.leader.trial.config == BEST
    assert found.leader.trial.purpose == "confirm"
    assert found.decision.standing is Standing.PROMOTED
    assert watcher.stages == [("training", 0.5)]
    assert watcher.known == 0
    assert len(watcher.judgements) == len(found.trials)

    searched = [trial for trial in found.trials if trial.purpose == "search"]
    assert len(searched) == 15
    assert searched[0].proposer == "default"
    assert {trial.proposer for trial in searched} >= {"default", "startup", "neighbour", "TPE"}
    assert all(trial.why for trial in searched)

    (entry,) = tuning.read_table(tuning.user_table("toy", "laptop"))
    assert entry.config == BEST
    assert "times the default's speed" in entry.evidence
    assert operator_module("toy", "select").choose(PROBLEM).config == BEST


def test_points_that_cannot_run_are_pruned_with_their_reason(run):
    found = run()
    pruned = {
        (trial.config["size"], trial.config["unroll"]): trial.reason
        for trial in found.trials
        if trial.state == "pruned"
    }
    # 16 x 3 breaks the operator's rule, 16 MiB of workspace the machine's memory.
    assert pruned.keys() == {(16, 1), (16, 2), (16, 3)}
    assert "at most 32" in pruned[16, 3]
    assert "that are free" in pruned[16, 1]
    assert all(t.verdict is None for t in found.trials if t.state == "pruned")


def test_the_second_tune_knows_what_the_first_found_and_runs_nothing(run):
    first = run()
    watcher = Recorder()
    second = run(watcher)
    assert watcher.known == len(first.trials)
    assert watcher.tried == []
    assert second.stopped == "exhausted"
    assert second.decision.standing is Standing.IN_TABLE
    assert second.leader is not None
    assert second.leader.trial.config == BEST


def test_another_problem_is_another_study(run):
    first = run()
    watcher = Recorder()
    run(watcher, workload="other")
    assert watcher.known == 0
    assert len(watcher.judgements) == len(first.trials)


def test_a_better_search_that_does_not_confirm_changes_no_table(run, script):
    script(confirmations_fall=True)
    found = run()
    assert found.decision.standing is Standing.DEFAULT_STAYS
    assert not tuning.user_table("toy", "laptop").exists()
    confirmed = [trial for trial in found.trials if trial.purpose == "confirm"]
    assert len(confirmed) == 3


def test_the_objective_memory_takes_the_smallest(run):
    found = run(objective="memory")
    assert found.leader is not None
    assert found.leader.trial.config == {"size": 1, "unroll": 1, "defect": 0}
    assert found.decision.standing is Standing.DEFAULT_STAYS


def test_the_objective_pareto_takes_the_fastest_that_costs_no_memory(run):
    found = run(objective="pareto")
    assert found.leader is not None
    assert found.leader.trial.config == {"size": 8, "unroll": 1, "defect": 0}


def test_a_candidate_that_dies_is_recorded_and_the_rest_goes_on(run, script):
    script(die=[BEST])
    found = run()
    (dead,) = [trial for trial in found.trials if trial.config == BEST]
    assert dead.state == "crashed"
    assert "exit status 7" in dead.reason
    assert "while verifying" in dead.reason
    assert found.leader is not None
    assert found.leader.trial.config != BEST
    assert found.decision.standing is Standing.PROMOTED


def test_a_candidate_that_hangs_is_killed_and_the_rest_goes_on(run, script):
    script(hang=[BEST])
    found = run(candidate_limit_s=3.0)
    (hung,) = [trial for trial in found.trials if trial.config == BEST]
    assert hung.state == "timeout"
    assert hung.reason == "while verifying: no answer after 3 s"
    assert found.stopped == "exhausted"
    assert found.decision.standing is Standing.PROMOTED


def test_an_interrupt_between_any_two_lines_leaves_no_open_attempt(run, database):
    class StopsAtOnce(Recorder):
        def trying(self, claim, stage):
            raise KeyboardInterrupt

    found = run(StopsAtOnce())
    assert found.stopped == "interrupted"
    assert [trial.state for trial in found.trials] == ["queued"]
    connection = connect(database)
    (row,) = connection.execute("SELECT outcome, evidence FROM attempt").fetchall()
    assert (row["outcome"], row["evidence"]) == ("infra_lost", '{"given_back":true}')
    connection.close()


def test_a_budget_ends_the_search_and_leaves_time_to_confirm(run, script):
    script(seconds=0.4)
    found = run(budget_s=5.0)
    assert found.stopped == "budget"
    assert found.seconds < 10.0
    assert len([trial for trial in found.trials if trial.purpose == "search"]) < 15
    assert found.leader is not None
    assert found.leader.trial.purpose == "confirm"


def test_ctrl_c_keeps_what_is_known_and_gives_the_candidate_back(run, database, script):
    class Stops(Recorder):
        def trying(self, claim, stage):
            super().trying(claim, stage)
            if len(self.judgements) >= 5 and stage == "verifying":
                raise KeyboardInterrupt

    watcher = Stops()
    found = run(watcher)
    assert found.stopped == "interrupted"
    assert found.decision.standing is Standing.NOT_CONFIRMED
    assert found.leader is not None
    interrupted = watcher.tried[-1][0]
    states = {trial.experiment_id: trial.state for trial in found.trials}
    assert states[interrupted] == "queued"
    connection = connect(database)
    assert connection.execute("SELECT ended_why FROM campaign").fetchone()[0] == "interrupted"
    connection.close()

    again = Recorder()
    rest = run(again)
    assert again.tried[0][0] == interrupted
    assert rest.decision.standing is Standing.PROMOTED


def test_a_tune_is_a_campaign_of_the_labs_queue(run, database):
    found = run()
    connection = connect(database)
    row = connection.execute("SELECT * FROM campaign").fetchone()
    assert (row["id"], row["title"], row["ended_why"]) == (
        found.campaign_id,
        "tune toy/small",
        "exhausted",
    )
    problem = connection.execute("SELECT * FROM problem").fetchone()
    assert (problem["kind"], problem["name"], row["problem_id"]) == ("operator", "toy/small", 1)
    worker = connection.execute("SELECT * FROM worker").fetchone()
    assert worker["name"].startswith("onetrip tune ")
    assert worker["ended_at"] is not None
    attempts = connection.execute("SELECT * FROM attempt").fetchall()
    assert {attempt["worker_id"] for attempt in attempts} == {worker["id"]}
    assert {attempt["campaign_id"] for attempt in attempts} == {row["id"]}
    assert {attempt["study_id"] for attempt in attempts} == {row["study_id"]}
    assert {attempt["device"] for attempt in attempts} == {"cpu"}
    charged = connection.execute(
        "SELECT count(*) FROM ledger WHERE kind = 'wall_s' AND amount > 0 AND campaign_id = ?",
        (row["id"],),
    )
    assert charged.fetchone()[0] == len(attempts)
    told = [row["type"] for row in connection.execute("SELECT type FROM event ORDER BY seq")]
    for kind in ("campaign.started", "worker.joined", "experiment.queued", "experiment.pruned"):
        assert kind in told
    assert told.count("experiment.finished") == len(attempts)
    assert told[-2:] == ["campaign.ended", "worker.left"]
    connection.close()


def test_a_candidate_that_is_cancelled_from_elsewhere_is_ended(run, database, script, monkeypatch):
    monkeypatch.setattr(attempts_module, "BEAT_S", 0.1)

    class Cancels(Recorder):
        def trying(self, claim, stage):
            if claim.contender.config == BEST and stage == "verifying":
                connection = connect(database)
                order.cancel(connection, claim.experiment_id, why="seen enough")
                connection.close()

    script(hang=[BEST])
    found = run(Cancels(), candidate_limit_s=60.0)
    (cancelled,) = [trial for trial in found.trials if trial.config == BEST]
    assert (cancelled.state, cancelled.reason) == (
        "cancelled",
        "cancelled by person: seen enough",
    )
    assert found.seconds < 40
    assert found.stopped == "exhausted"


def test_an_invalid_answer_of_a_tune_is_measured_again(run, database):
    first = run()
    connection = connect(database)
    (attempt,) = connection.execute(
        "SELECT max(id) FROM attempt WHERE experiment_id = ?", (first.trials[0].experiment_id,)
    ).fetchone()
    invalidate(connection, attempt, "the machine was busy")
    connection.close()
    watcher = Recorder()
    second = run(watcher)
    assert {tried for tried, _ in watcher.tried} == {first.trials[0].experiment_id}
    assert second.trials[0].state == "done"


def test_seeds_of_inputs_are_never_drawn_twice(run, database):
    run()
    connection = connect(database)
    seeds = [row[0] for row in connection.execute("SELECT seed FROM attempt")]
    connection.close()
    assert len(set(seeds)) == len(seeds) > 10


def test_everything_about_the_study_is_written_down(run, database):
    run()
    connection = connect(database)
    files = {
        row["role"]: json.loads(row["files"]) for row in connection.execute("SELECT * FROM source")
    }
    assert {"judge/judge.py", "bench/timing.py", "toy/reference.py"} <= files["harness"].keys()
    assert {"toy/api.py", "toy/select.py"} <= files["subject"].keys()
    ceilings = json.loads(connection.execute("SELECT ceilings FROM ceiling").fetchone()[0])
    assert ceilings["bandwidth_gbps"] == 20.0
    assert json.loads(connection.execute("SELECT block FROM environment").fetchone()[0])["python"]
    connection.close()


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        ({"operator": "toi"}, ArgumentError, "Did you mean 'toy'"),
        ({"objective": "beauty"}, ArgumentError, "'beauty'"),
        ({"budget_s": 0.0}, ArgumentError, "positive number of seconds"),
        ({"impls": ("tritn",)}, ArgumentError, "tritn"),
        ({"impls": ("reference",)}, UnsupportedError, "no parameters to tune"),
    ],
)
def test_a_request_that_makes_no_sense_says_so(run, request_, error, words):
    with pytest.raises(error, match=words):
        run(**request_)


def test_a_missing_library_is_named_before_anything_is_prepared(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    watcher = Recorder()
    with pytest.raises(MissingDependencyError, match=r"pip install 'onetrip\[lab\]'"):
        run(watcher)
    assert watcher.stages == []
