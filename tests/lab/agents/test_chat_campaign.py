"""A campaign that a model behind an endpoint proposes for: what it costs, and how it ends."""

import json
from contextlib import closing

import pytest

from onetrip.core.device import Device
from onetrip.lab.agents.chat_endpoint import ChatEndpoint
from onetrip.lab.agents.openai_compatible import Budget, ChatAgent, Prices
from onetrip.lab.judge.machine import Machine
from onetrip.lab.queue.submit import ProblemFacts, add_problem
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict
from onetrip.lab.work.campaign import CampaignPlan, run_campaign

LAPTOP = Device("laptop", "cpu", 0, {"float32": 0.1}, 20.0, 2**33, measured=True, source="test")


def judge(job, on_stage, on_start, should_stop):
    """A time that stands in the source, beside a baseline of 8 ms or what stands in its."""
    ours = float(job.candidate.source.split()[1])
    rival = job.rivals["baseline"]
    theirs = float(rival.source.split()[1]) if rival.kind == "source" else 8.0
    ratio = theirs / ours
    samples = (ours * 0.99, ours, ours * 1.01)
    return Verdict(
        Outcome.DONE,
        checks=(Check("output", True, 0.0, 1.0, workload="small"),),
        timings=(Timing("candidate", "", {}, samples, ours, *samples[::2], None, "small"),),
        comparisons=(Comparison("baseline", ratio, ratio * 0.97, ratio * 1.03, "small"),),
    )


def reply(cost, parent):
    header = {"title": f"{cost} ms", "why": "less is less", "parent": parent}
    header["prediction"] = {"title": "a tenth", "rationale": "r", "least_effect": 0.1}
    return f"```json\n{json.dumps(header)}\n```\n```python\n# {cost} ms\n```\n"


def look(device):
    return Machine(LAPTOP, {"torch": "2.13.0"})


@pytest.fixture
def campaign(tmp_path, chat):
    """Run one with this budget of tokens; its end, and the lab's database."""

    def run(tokens):
        database = tmp_path / "lab.sqlite"
        with closing(connect(database)) as connection:
            facts = ProblemFacts("folder", "toy", "f" * 64, {"location": "toy"}, brief="Be quick.")
            problem_id = add_problem(connection, facts)
        agent = ChatAgent(
            ChatEndpoint(chat.url, "small", sleep=lambda seconds: None),
            budget=Budget(tokens=tokens),
            prices=Prices(10.0, 20.0),
            max_tokens=1000,
        )
        plan = CampaignPlan(problem_id, "a test")
        return run_campaign(database, plan, agent, judge=judge, look=look), database

    return run


def test_what_it_thought_is_charged_and_its_budget_ends_it(campaign, chat):
    chat.answers = [reply(4.0, None), "no idea", reply(2.0, 1)]
    # After three calls of 150 tokens, another of 1000 at most does not fit.
    end, database = campaign(2100)
    assert end.why.startswith("Another call could bring the tokens to")
    assert [past.state for past in end.history] == ["done", "done"]
    assert "Be quick." in chat.requests[0][2]["messages"][1]["content"]
    assert "# 4.0 ms" in chat.requests[1][2]["messages"][1]["content"]
    with closing(connect(database)) as connection:
        rows = connection.execute(
            "SELECT kind, sum(amount) FROM ledger WHERE kind IN ('tokens', 'usd') GROUP BY kind"
        ).fetchall()
    spent = {row[0]: row[1] for row in rows}
    assert spent == {"tokens": 450.0, "usd": pytest.approx(3 * (100 * 10 + 50 * 20) / 1e6)}


def test_an_endpoint_that_fails_ends_the_campaign_with_the_reason(campaign, chat):
    chat.answers = [reply(4.0, None), (401, {})]
    end, _ = campaign(100_000)
    assert end.why.endswith("failed: status 401: not now")
    assert len(end.history) == 1
