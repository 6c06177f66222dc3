import json
import re
import threading
import time

import pytest

from onetrip.core.errors import OnetripError
from onetrip.lab.agents.agent import Lesson, Prediction, Proposal
from onetrip.lab.search.knob_search import KnobSearch
from onetrip.lab.store.events import events_after
from onetrip.lab.verdict import Outcome, Verdict
from onetrip.lab.work.campaign import CampaignPlan, WorkerDiedError, run_campaign

LADDER = """KNOBS = {"A": (0, 1, 2, 3), "B": (0, 1, 2, 3)}
A = 0
B = 0
COST = 2.0 + (A - 2) ** 2 + (B - 1) ** 2
"""


class Stepwise:
    """Two steps, the second from the first, with a prediction each; then a lesson."""

    name = "agent:test"

    def __init__(self):
        self.seen = []

    def propose(self, brief, history):
        self.seen.append([past.state for past in history])
        if len(history) == 2:
            return None
        cost, parent = (4.0, None) if not history else (2.0, history[0].experiment_id)
        prediction = Prediction(f"cost {cost}", "less is less", least_effect=0.1)
        return Proposal(f"COST = {cost}", f"cost {cost}", "it must be", parent, prediction)

    def learn(self, brief, history):
        return [Lesson("Half the cost is half the time.", 0.9, (history[-1].experiment_id,))]

    def spent(self):
        return {"tokens": 100.0 * len(self.seen)}


@pytest.fixture
def run(database, problem, work):
    def campaign(agent, *, judge=work.judge, look=work.look, **changes):
        values = {"problem_id": problem, "title": "a test"} | changes
        return run_campaign(database, CampaignPlan(**values), agent, judge=judge, look=look)

    return campaign


def test_an_agent_learns_from_each_answer(run, connection):
    agent = Stepwise()
    end = run(agent)
    assert agent.seen == [[], ["done"], ["done", "done"]]
    assert end.why == "the agent has nothing more to try"
    _, second = end.history
    assert second.speedup == pytest.approx(2.0, rel=0.05)
    assert second.faster
    rows = connection.execute("SELECT status, status_why FROM hypothesis ORDER BY id").fetchall()
    assert [row["status"] for row in rows] == ["supported", "supported"], [*map(tuple, rows)]
    learning = connection.execute("SELECT text FROM learning").fetchone()
    assert learning["text"] == "Half the cost is half the time."
    tokens = connection.execute("SELECT sum(amount) FROM ledger WHERE kind = 'tokens'")
    assert tokens.fetchone()[0] == 300.0
    types = {event.type for event in events_after(connection, 0)}
    assert {"campaign.started", "campaign.ended", "champion.new", "learning.added"} <= types


def test_knobs_are_searched_within_a_number_of_experiments(run, connection):
    end = run(KnobSearch(LADDER, "evolution", seed=3), budget={"experiments": 10}, ahead=2)
    assert len(end.history) == 10
    assert "10 experiments" in end.why
    best = min(past.median_ms for past in end.history)
    assert best < 4.0 < end.history[0].median_ms
    assert len({past.source for past in end.history}) == 10


def test_a_whole_grid_ends_by_itself(run):
    end = run(KnobSearch('KNOBS = {"A": (1, 2, 3)}\nA = 2\nCOST = A', "grid"))
    assert [past.title for past in end.history] == ["A 2", "A 1", "A 3"]
    assert end.why == "the agent has nothing more to try"


def test_money_ends_a_campaign(run):
    end = run(Stepwise(), budget={"tokens": 150})
    assert len(end.history) == 2
    assert "150 tokens" in end.why


def test_a_stop_is_said_and_nothing_is_left_running(database, problem, work, connection):
    plan = CampaignPlan(problem, "stopped")
    end = run_campaign(
        database, plan, Stepwise(), judge=work.judge, look=work.look, abort=lambda: True
    )
    assert end.why == "stopped"
    row = connection.execute("SELECT ended_why, budget FROM campaign").fetchone()
    assert (row["ended_why"], json.loads(row["budget"])) == ("stopped", {})


def test_a_worker_that_dies_is_told_with_what_is_kept(run, database, problem, work, connection):
    class Mortal(Stepwise):
        def learn(self, brief, history):
            raise AssertionError("a campaign that broke off teaches nothing")

    judged = []

    def mortal(job, *rest):
        judged.append(job)
        if len(judged) == 2:
            raise RuntimeError("the disk is full")
        return work.judge(job, *rest)

    with pytest.raises(WorkerDiedError) as died:
        run(Mortal(), judge=mortal)
    said = str(died.value)
    assert isinstance(died.value.__cause__, RuntimeError)
    place = f"RuntimeError: the disk is full ({__file__}, line "
    assert f"ended: a worker died: {place}" in said
    assert "Experiments answered and kept: 1; waiting: 1." in said
    assert f"  onetrip lab list --db {database}\n" in said
    (ended,) = [one for one in events_after(connection, 0) if one.type == "campaign.ended"]
    assert "raise RuntimeError" in ended.document["traceback"]
    (query,) = re.findall(r'"(SELECT .*)"', said)
    assert "raise RuntimeError" in connection.execute(query).fetchone()[0]
    why = connection.execute("SELECT ended_why FROM campaign").fetchone()[0]
    assert why.startswith(f"a worker died: {place}")
    # What it was at, the confirmation of the first, waits for another worker.
    assert list(work.states().values()) == ["done", "queued"]


def test_a_device_that_cannot_be_used_is_told_in_its_own_words(run):
    def look(device):
        raise OnetripError("The device cpu cannot be used: it is on fire.")

    with pytest.raises(WorkerDiedError, match=r"a worker died: The device cpu .* on fire\. Exp"):
        run(Stepwise(), look=look)


def test_an_interrupt_waits_for_no_trial(database, problem, work, connection):
    judged, asked_to_stop = threading.Event(), []

    def endless(job, on_stage, on_start, should_stop):
        judged.set()
        deadline = time.monotonic() + 8.0
        while time.monotonic() < deadline and not should_stop():
            time.sleep(0.01)
        asked_to_stop.append(should_stop())
        return Verdict(Outcome.INFRA_LOST, reason="stopped")

    class Impatient(Stepwise):
        def propose(self, brief, history):
            if self.seen:
                judged.wait(8.0)
                raise KeyboardInterrupt
            return super().propose(brief, history)

    plan = CampaignPlan(problem, "a test", ahead=2)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(database, plan, Impatient(), judge=endless, look=work.look)
    assert asked_to_stop == [True]
    assert connection.execute("SELECT state FROM experiment").fetchone()[0] == "queued"
