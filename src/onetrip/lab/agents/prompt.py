"""What a language model is told, and how its reply is read."""

import json
import re
from collections.abc import Mapping, Sequence

from onetrip.core.errors import DataError
from onetrip.lab.agents.agent import Past, Prediction, Proposal
from onetrip.lab.agents.scripted import leader_of

SYSTEM = """\
You improve one kernel. An isolated judge proves each candidate against float64 truth on inputs \
that nobody knew before, and times it paired with its parent. Make one trip to memory: state the \
least time that the device allows, change one thing, predict what it brings. Any attempt to game \
the judge ends the campaign.

Answer with exactly two fenced blocks and nothing else that is fenced. First ```json:
{"title": "…", "why": "one sentence", "parent": number of an experiment or null,
 "prediction": {"title": "…", "rationale": "…", "metric": "latency_ms", "direction": "decrease",
                "least_effect": 0.1}}
`least_effect` is relative. `prediction` may be null for a first candidate only.
Then ```python: the whole file of the candidate, ready to run.
"""

_LONGEST_BRIEF = 24_000
_LONGEST_SOURCE = 24_000
_LONGEST_REASON = 1_500
_SHOWN = 20
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


class UnreadableReplyError(DataError):
    """A model's reply is not a JSON block and a Python block; the message says what is wrong."""


def messages(brief: Mapping[str, object], history: Sequence[Past]) -> list[dict[str, str]]:
    """The conversation that asks for the next candidate."""
    parts = [_cut(str(brief["markdown"]), _LONGEST_BRIEF)]
    if history:
        parts += ["# Tried so far", "\n".join(_line(past) for past in history[-_SHOWN:])]
    leader = leader_of(history)
    if leader is not None:
        source = _cut(leader.source, _LONGEST_SOURCE)
        parts += [f"# The fastest that is right: experiment {leader.experiment_id}"]
        parts += [f"```python\n{source}\n```"]
    parts.append("Propose the next candidate.")
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def read_reply(text: str) -> Proposal:
    r"""Read a proposal from a reply.

    Raises
    ------
    UnreadableReplyError
        There is not one JSON block and one Python block, or a field is not what it should be.

    Examples
    --------
    >>> reply = '```json\n{"title": "t", "why": "w"}\n```\n```python\nx = 1\n```'
    >>> read_reply(reply).source
    'x = 1\n'
    """
    blocks = [(language.lower(), body) for language, body in _FENCE.findall(text)]
    headers = [body for language, body in blocks if language == "json"]
    sources = [body for language, body in blocks if language in ("python", "py")]
    if len(headers) != 1 or len(sources) != 1:
        raise UnreadableReplyError(
            f"A reply needs one ```json and one ```python block, yours has {len(headers)} and "
            f"{len(sources)}."
        )
    try:
        header = json.loads(headers[0])
    except json.JSONDecodeError as error:
        raise UnreadableReplyError(f"The ```json block is not JSON: {error}.") from error
    if not isinstance(header, dict):
        raise UnreadableReplyError("The ```json block must be an object.")
    parent = header.get("parent")
    if parent is not None and (not isinstance(parent, int) or isinstance(parent, bool)):
        raise UnreadableReplyError("`parent` must be the number of an experiment, or null.")
    return Proposal(
        source=sources[0],
        title=_text(header, "title")[:200],
        why=_text(header, "why"),
        parent=parent,
        prediction=_prediction(header.get("prediction")),
    )


def _prediction(value: object) -> Prediction | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise UnreadableReplyError("`prediction` must be an object, or null.")
    direction = value.get("direction", "decrease")
    if direction not in ("decrease", "increase"):
        raise UnreadableReplyError("`direction` must be decrease or increase.")
    effect = value.get("least_effect", 0.05)
    if isinstance(effect, bool) or not isinstance(effect, int | float) or not 0 <= effect <= 100:
        raise UnreadableReplyError("`least_effect` must be a number such as 0.1 for a tenth.")
    return Prediction(
        title=_text(value, "title")[:200],
        rationale=_text(value, "rationale"),
        metric=_text(value, "metric") if "metric" in value else "latency_ms",
        direction=direction,
        least_effect=float(effect),
    )


def _text(values: Mapping[str, object], name: str) -> str:
    text = values.get(name)
    if not isinstance(text, str) or not text.strip():
        raise UnreadableReplyError(f"`{name}` must be a text that is not empty.")
    return text.strip()


def _line(past: Past) -> str:
    result = past.state
    if past.median_ms is not None:
        result += f", {past.median_ms:.4g} ms"
    if past.speedup is not None:
        result += f", {past.speedup:.3f}x its parent [{past.low:.3f}, {past.high:.3f}]"
    if past.hypothesis_status:
        result += f", prediction {past.hypothesis_status}"
    line = f"- experiment {past.experiment_id}, {past.title!r}: {result}"
    return f"{line}. {_cut(past.reason, _LONGEST_REASON)}" if past.reason else line


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}\n… ({len(text)} characters)"
