"""What is spent and promised, and when a campaign can afford no more."""

import time

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.queue import ledger
from onetrip.lab.queue.campaigns import close_campaign, open_campaign
from onetrip.lab.queue.claims import reap
from onetrip.lab.verdict import Outcome, Verdict


def campaign(lab, **budget):
    return open_campaign(
        lab.connection,
        lab.problem_id,
        title="a night",
        proposer="grid",
        objective="latency",
        seed=0,
        budget=budget,
        environment={},
        pid=1,
    )


def test_an_experiments_line_counts_for_its_campaign_too(lab):
    number = campaign(lab)
    experiment_id = lab.queue(campaign_id=number)
    ledger.charge(lab.connection, "tokens", 500, experiment_id=experiment_id, note="the agent")
    ledger.charge(lab.connection, "usd", 0.25, campaign_id=number)
    assert ledger.spent(lab.connection, campaign_id=number)["tokens"] == 500
    assert ledger.spent(lab.connection, campaign_id=number)["usd"] == 0.25
    assert ledger.spent(lab.connection, experiment_id=experiment_id)["usd"] == 0.0
    assert ledger.spent(lab.connection)["tokens"] == 500


@pytest.mark.parametrize(
    ("kind", "amount"), [("tokens", -1), ("usd", float("nan")), ("usd", float("inf")), ("euro", 1)]
)
def test_a_line_that_makes_no_sense_is_refused(lab, kind, amount):
    with pytest.raises(ArgumentError):
        ledger.charge(lab.connection, kind, amount)
    assert lab.one("SELECT count(*) FROM ledger")[0] == 0


def test_what_runs_and_what_waits_is_promised(lab):
    number = campaign(lab)
    lab.queue(campaign_id=number, expected_s=10.0)
    lab.queue(campaign_id=number, expected_s=20.0)
    lab.claim(devices=("cuda:0",))
    running = ledger.committed(lab.connection, campaign_id=number, queued=False)
    assert (running["wall_s"], running["gpu_s"]) == (10.0, 10.0)
    everything = ledger.committed(lab.connection, campaign_id=number)
    assert everything["wall_s"] == 30.0
    late = ledger.committed(
        lab.connection, campaign_id=number, queued=False, now=time.time() + 15.0
    )
    assert late["wall_s"] == pytest.approx(15.0, abs=1.0)


def test_a_budget_counts_what_is_in_flight(lab):
    number = campaign(lab, gpu_s=30.0)
    for _ in range(4):
        lab.queue(campaign_id=number, expected_s=12.0, limits={"device": "cuda:0"})
    assert lab.claim(devices=("cuda:0",)) is not None
    assert lab.claim(devices=("cuda:0",)) is not None
    # 24 of 30 are promised: a third would exceed it, though nothing is spent yet.
    assert ledger.spent(lab.connection, campaign_id=number)["gpu_s"] == 0.0
    assert lab.claim(devices=("cuda:0",)) is None
    why = ledger.within_budget(lab.connection, number)
    assert why is not None
    assert "30 GPU-seconds" in why


def test_what_can_never_be_afforded_is_cancelled_so_that_nobody_waits_for_it(lab):
    number = campaign(lab, wall_s=5.0)
    small = lab.queue(campaign_id=number, expected_s=4.0)
    large = lab.queue(campaign_id=number, expected_s=40.0)
    larger = lab.queue(campaign_id=number, expected_s=50.0)
    free = lab.queue()
    running = lab.claim(campaign_id=number)
    assert running.experiment_id == small
    assert lab.claim(campaign_id=number) is None
    assert lab.state(large) == "queued"
    lab.answer(lab.won(), running)
    assert lab.claim(campaign_id=number) is None
    assert [lab.state(one) for one in (large, larger)] == ["cancelled"] * 2
    assert "budget of 5 seconds" in lab.one("SELECT reason FROM experiment WHERE id = ?", large)[0]
    assert lab.claim().experiment_id == free


def test_without_a_budget_everything_is_affordable(lab):
    number = campaign(lab, experiments=3)
    assert ledger.within_budget(lab.connection, number) is None
    with pytest.raises(ArgumentError, match="campaign_id"):
        ledger.within_budget(lab.connection, 99)


def test_a_lost_attempt_costs_what_was_heard_of_it(lab):
    lab.queue()
    claimed = lab.claim(devices=("cuda:0",), lease_s=1.0)
    lab.connection.execute("UPDATE attempt SET started_at = started_at - 30")
    assert reap(lab.connection, now=time.time() + 5) == [claimed.attempt_id]
    spent = ledger.spent(lab.connection)
    assert spent["wall_s"] == pytest.approx(30.0, abs=1.0)
    assert spent["gpu_s"] == spent["wall_s"]


def test_costs_that_are_no_numbers_are_not_charged(lab):
    lab.queue()
    lab.answer(Verdict(Outcome.CRASHED, gpu_s=float("inf"), energy_j=float("nan")))
    spent = ledger.spent(lab.connection)
    assert (spent["gpu_s"], spent["energy_j"]) == (0.0, 0.0)


def test_a_campaign_ends_once(lab):
    number = campaign(lab)
    close_campaign(lab.connection, number, "budget")
    close_campaign(lab.connection, number, "again")
    assert lab.one("SELECT ended_why FROM campaign")[0] == "budget"
    assert lab.events().count("campaign.ended") == 1
