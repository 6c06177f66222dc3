"""The scripted agent: it goes on from what proved faster, and learns from what did not."""

from dataclasses import replace

import pytest

from onetrip.lab.agents import row_softmax_cpu, row_softmax_triton
from onetrip.lab.agents.agent import Past
from onetrip.lab.agents.scripted import ScriptedAgent, leader_of

WON = {"state": "done", "speedup": 2.0, "low": 1.9, "high": 2.1, "hypothesis_status": "supported"}
LOST = {"state": "done", "speedup": 0.8, "low": 0.7, "high": 0.9, "hypothesis_status": "refuted"}
WRONG = {"state": "incorrect", "hypothesis_status": "inconclusive"}
NOISE = {"state": "done", "speedup": 1.01, "low": 0.97, "high": 1.05}


def proposed(agent, history):
    proposal = agent.propose({}, history)
    assert proposal is not None
    return proposal


def climb(agent, results):
    history = []
    for number, result in enumerate(results, 10):
        proposal = proposed(agent, history)
        hypothesis_id = None if proposal.prediction is None else number
        past = Past(number, proposal.title, "queued", hypothesis_id=hypothesis_id)
        history.append(replace(past, **result))
    return history


def test_a_step_starts_from_the_fastest_that_is_right():
    agent = ScriptedAgent("cpu")
    history = climb(agent, [{"state": "done"}, WON, WRONG, LOST, NOISE])
    assert leader_of(history) == history[1]
    assert proposed(agent, history).parent == 11


def test_every_step_after_the_first_predicts():
    agent = ScriptedAgent("cpu")
    history = climb(agent, [{"state": "done"}] + [WON] * 5)
    assert [past.hypothesis_id is None for past in history] == [True] + [False] * 5
    assert agent.propose({}, history) is None


def test_nothing_is_predicted_against_a_start_that_failed():
    agent = ScriptedAgent("cpu")
    history = climb(agent, [{"state": "crashed"}])
    assert proposed(agent, history).prediction is None


def test_lessons_say_what_came_out():
    agent = ScriptedAgent("cpu")
    results = [{"state": "done"}, WON, WRONG, NOISE | {"hypothesis_status": "inconclusive"}, LOST]
    history = climb(agent, [*results, {"state": "crashed"}])
    lessons = agent.learn({}, history)
    steps = agent.steps
    assert [lesson.text for lesson in lessons] == [
        steps[0].if_right,
        steps[1].if_right,
        steps[2].if_wrong,
        "One buffer: not decided here: the ratio lies in 0.97 to 1.05. Measure again on a quiet "
        "machine.",
        steps[4].if_wrong,
    ]
    assert [lesson.about for lesson in lessons] == [(10,), (11,), (12,), (13,), (14,)]
    assert lessons[3].confidence < 0.5 < lessons[4].confidence


@pytest.mark.parametrize("ladder", [row_softmax_cpu, row_softmax_triton])
def test_the_sources_compile_and_differ(ladder):
    sources = [step.source for step in ladder.STEPS]
    assert len(set(sources)) == len(sources) >= 5
    for step in ladder.STEPS:
        compile(step.source, step.title, "exec")
        assert "{" not in step.source


def test_the_steps_on_the_cpu_are_right_but_for_the_one_that_is_not():
    import torch

    data = torch.cat([torch.randn(4, 96), 200 + torch.randn(4, 96)])
    expected = torch.softmax(data.double(), -1)
    wrong = []
    for step in row_softmax_cpu.STEPS:
        names = {}
        exec(step.source, names)
        close = torch.allclose(names["custom_kernel"](data).double(), expected, atol=1e-6)
        wrong += [] if close else [step.title]
    assert wrong == ["Without the largest value"]
