"""The proposer behind a chat endpoint: replies, retries, budget, and a key that stays put."""

import json

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.lab.agents.agent import AgentStopped, Past, Prediction
from onetrip.lab.agents.chat_endpoint import ChatEndpoint, EndpointError
from onetrip.lab.agents.openai_compatible import Budget, ChatAgent, Prices, read_key

BRIEF = {"markdown": "# softmax of rows\n\nFloor 0.5 ms"}
SOURCE = "def custom_kernel(data):\n    return data.softmax(-1)\n"
FIRST = {"title": "one call", "why": "one trip"}
NEXT = FIRST | {
    "parent": 7,
    "prediction": {"title": "a third", "rationale": "fewer trips", "least_effect": 0.3},
}
HISTORY = [Past(7, "loop", "done", source="x = 7\n", median_ms=4.0)]


def reply(header, source=SOURCE):
    return f"Here.\n```json\n{json.dumps(header)}\n```\n\n```python\n{source}```\n"


AMPLE = Budget(tokens=100_000)


def agent_of(chat, *, budget=AMPLE, sleeps=None, **more):
    pauses = [] if sleeps is None else sleeps
    endpoint = ChatEndpoint(chat.url, "small", "secret-key", timeout_s=10.0, sleep=pauses.append)
    return ChatAgent(endpoint, budget=budget, max_tokens=1000, **more)


def proposed(agent, history):
    proposal = agent.propose(BRIEF, history)
    assert proposal is not None
    return proposal


def test_a_reply_becomes_a_proposal(chat):
    chat.answers = [reply(NEXT)]
    proposal = proposed(agent_of(chat), HISTORY)
    assert (proposal.source, proposal.parent, proposal.title) == (SOURCE, 7, "one call")
    assert proposal.prediction == Prediction("a third", "fewer trips", least_effect=0.3)
    path, headers, body = chat.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-key"
    told = body["messages"][1]["content"]
    assert "softmax of rows" in told
    assert "experiment 7" in told
    assert "x = 7" in told


def test_an_unreadable_reply_goes_back_with_what_is_wrong(chat):
    chat.answers = ["I would fuse it.", reply(NEXT)]
    agent = agent_of(chat)
    assert proposed(agent, HISTORY).title == "one call"
    correction = chat.requests[1][2]["messages"][-1]["content"]
    assert "yours has 0 and 0" in correction
    assert agent.spent()["tokens"] == 300


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (NEXT | {"parent": 99}, "one of your experiments"),
        (NEXT | {"parent": "seven"}, "the number of an experiment"),
        (NEXT | {"prediction": None}, "Predict what the change will bring"),
        (NEXT | {"prediction": {"title": "t", "rationale": "r", "least_effect": -1}}, "a tenth"),
        (NEXT | {"prediction": {"title": "t", "rationale": "r", "direction": "up"}}, "decrease"),
        ({"title": "one call"}, "`why` must be a text"),
        (["title"], "must be an object"),
    ],
)
def test_a_wrong_header_is_explained(chat, header, words):
    chat.answers = [reply(header), reply(NEXT)]
    agent_of(chat).propose(BRIEF, HISTORY)
    assert words in chat.requests[1][2]["messages"][-1]["content"]


def test_two_sources_are_one_too_many(chat):
    chat.answers = [reply(NEXT) + "```python\nx = 1\n```\n", reply(NEXT)]
    agent_of(chat).propose(BRIEF, HISTORY)
    assert "1 and 2" in chat.requests[1][2]["messages"][-1]["content"]


def test_a_model_that_never_answers_readably_stops_the_agent(chat):
    chat.answers = ["no"] * 3
    agent = agent_of(chat)
    with pytest.raises(AgentStopped, match="3 replies that cannot be read"):
        agent.propose(BRIEF, HISTORY)
    assert agent.spent()["tokens"] == 450


def test_a_busy_endpoint_is_asked_again_when_it_says(chat):
    chat.answers = [(429, {"Retry-After": "7"}), (503, {}), reply(FIRST)]
    pauses = []
    assert proposed(agent_of(chat, sleeps=pauses), []).title == "one call"
    assert pauses == [7.0, 2.0]


def test_a_refusal_is_not_repeated(chat):
    chat.answers = [(401, {})]
    with pytest.raises(EndpointError, match="status 401: not now"):
        agent_of(chat).propose(BRIEF, [])
    assert len(chat.requests) == 1


def test_a_redirect_does_not_carry_the_key_elsewhere(chat):
    chat.answers = [(307, {"Location": "http://127.0.0.1:1/v1/chat/completions"})]
    with pytest.raises(EndpointError, match="status 307"):
        agent_of(chat).propose(BRIEF, [])


def test_no_answer_is_said_after_all_retries(chat):
    chat.server.server_close()
    pauses = []
    with pytest.raises(EndpointError, match="no answer"):
        agent_of(chat, sleeps=pauses).propose(BRIEF, [])
    assert pauses == [1.0, 2.0, 4.0]


def test_an_answer_without_usage_cannot_be_charged_and_is_refused(chat):
    chat.usage = None
    chat.answers = [reply(FIRST)]
    with pytest.raises(EndpointError, match="usage"):
        agent_of(chat).propose(BRIEF, [])


def test_the_budget_is_held_before_the_call(chat):
    chat.answers = [reply(FIRST)] * 2
    agent = agent_of(chat, budget=Budget(tokens=2000))
    agent.propose(BRIEF, [])
    spent = agent.spent()["tokens"]
    agent.budget = Budget(tokens=int(spent) + 1000)
    with pytest.raises(AgentStopped, match=r"could bring the tokens to \d+; the budget is"):
        agent.propose(BRIEF, [])
    assert len(chat.requests) == 1


def test_the_budget_in_dollars_counts_what_the_longest_reply_costs(chat):
    chat.answers = [reply(FIRST)]
    prices = Prices(usd_per_million_in=2.0, usd_per_million_out=10.0)
    agent = agent_of(chat, budget=Budget(usd=0.02), prices=prices)
    agent.propose(BRIEF, [])
    assert agent.spent()["usd"] == pytest.approx(100 * 2e-6 + 50 * 10e-6)
    agent.budget = Budget(usd=0.01)
    with pytest.raises(AgentStopped, match="USD"):
        agent.propose(BRIEF, [])


@pytest.mark.parametrize(
    "url", ["http://models.example/v1", "ftp://127.0.0.1/v1", "http://127.0.0.1.example/v1", ""]
)
def test_a_key_does_not_cross_a_network_in_the_clear(url):
    with pytest.raises(ArgumentError, match="`base_url` must be an https address"):
        ChatEndpoint(url, "small", "secret-key")


def test_a_key_is_never_printed():
    assert "secret-key" not in repr(ChatEndpoint("https://models.example/v1", "m", "secret-key"))


def test_a_key_file_is_for_its_owner_only(tmp_path):
    file = tmp_path / "key"
    with pytest.raises(DataError, match="There is no key file"):
        read_key(file)
    file.write_text("secret-key\n")
    file.chmod(0o644)
    with pytest.raises(DataError, match="chmod 600"):
        read_key(file)
    file.chmod(0o600)
    assert read_key(file) == "secret-key"


def test_a_decided_prediction_becomes_a_lesson(chat):
    history = [
        Past(1, "loop", "done"),
        Past(2, "fused", "done", hypothesis_id=1, hypothesis_status="supported"),
        Past(3, "online", "done", hypothesis_id=2, hypothesis_status="inconclusive"),
    ]
    lessons = agent_of(chat).learn(BRIEF, history)
    assert [(lesson.about, "supported" in lesson.text) for lesson in lessons] == [((2,), True)]
