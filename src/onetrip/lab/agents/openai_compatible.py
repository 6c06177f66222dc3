"""An agent that asks a language model, behind any chat endpoint of the common form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onetrip.core.errors import DataError
from onetrip.lab.agents import prompt
from onetrip.lab.agents.agent import AgentStopped, Lesson, Past, Proposal
from onetrip.lab.agents.chat_endpoint import ChatEndpoint, Reply

# A token has about four characters; three keeps the estimate on the safe side.
_CHARACTERS_A_TOKEN = 3


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens, as the endpoint's owner lists them."""

    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost.

        >>> Prices(2.0, 8.0).of(500_000, 250_000)
        3.0
        """
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


@dataclass(frozen=True, slots=True)
class Budget:
    """What an agent may spend; None for no limit. It is held before each call, not after."""

    tokens: int | None = None
    usd: float | None = None


class ChatAgent:
    """Proposes what a language model writes.

    Parameters
    ----------
    endpoint : whom to ask.
    budget : hard: a call that could exceed it is not made.
    prices : for the ledger; zero where nothing is paid.
    max_tokens : the longest reply.
    corrections : how often an unreadable reply is sent back with what is wrong.
    """

    def __init__(
        self,
        endpoint: ChatEndpoint,
        *,
        budget: Budget,
        prices: Prices | None = None,
        max_tokens: int = 8192,
        corrections: int = 2,
    ) -> None:
        self.endpoint = endpoint
        self.budget = budget
        self.prices = prices or Prices()
        self.max_tokens = max_tokens
        self.corrections = corrections
        self._tokens = 0
        self._usd = 0.0

    @property
    def name(self) -> str:
        """Under which its experiments are filed."""
        return f"agent:{self.endpoint.model}"

    def propose(self, brief: Mapping[str, object], history: Sequence[Past]) -> Proposal | None:
        """Ask for the next candidate; an unreadable reply is asked for again.

        Raises
        ------
        AgentStopped
            Another call could cost more than is left, the endpoint failed, or no reply was
            readable.
        """
        conversation = prompt.messages(brief, history)
        known = {past.experiment_id for past in history}
        for _ in range(self.corrections + 1):
            reply = self._ask(conversation)
            try:
                proposal = prompt.read_reply(reply.text)
                if proposal.parent is not None and proposal.parent not in known:
                    raise prompt.UnreadableReplyError(
                        f"`parent` must be one of your experiments {sorted(known)}, or null."
                    )
                if history and proposal.prediction is None:
                    raise prompt.UnreadableReplyError("Predict what the change will bring.")
            except prompt.UnreadableReplyError as error:
                complaint = str(error)
                conversation = [
                    *conversation,
                    {"role": "assistant", "content": reply.text},
                    {"role": "user", "content": f"{complaint} Send both blocks again."},
                ]
            else:
                return proposal
        raise AgentStopped(
            f"The model {self.endpoint.model} sent {self.corrections + 1} replies that cannot be "
            f"read. The last: {complaint}"
        )

    def learn(self, brief: Mapping[str, object], history: Sequence[Past]) -> Sequence[Lesson]:
        """What its predictions came to, in words of the lab's own: no further call is paid."""
        return [
            Lesson(
                f"{past.title}: the prediction was {past.hypothesis_status}.",
                0.8 if past.hypothesis_status == "supported" else 0.7,
                (past.experiment_id,),
            )
            for past in history
            if past.hypothesis_status in ("supported", "refuted")
        ]

    def spent(self) -> Mapping[str, float]:
        """Tokens and dollars of all calls so far, those for unreadable replies included."""
        return {"tokens": float(self._tokens), "usd": self._usd}

    def _ask(self, conversation: list[dict[str, str]]) -> Reply:
        characters = sum(len(message["content"]) for message in conversation)
        at_most_in = characters // _CHARACTERS_A_TOKEN + 1
        tokens = self._tokens + at_most_in + self.max_tokens
        usd = self._usd + self.prices.of(at_most_in, self.max_tokens)
        if self.budget.tokens is not None and tokens > self.budget.tokens:
            raise AgentStopped(
                f"Another call could bring the tokens to {tokens}; the budget is "
                f"{self.budget.tokens}."
            )
        if self.budget.usd is not None and usd > self.budget.usd:
            raise AgentStopped(
                f"Another call could bring the cost to {usd:.4f} USD; the budget is "
                f"{self.budget.usd:.4f}."
            )
        reply = self.endpoint.ask(conversation, self.max_tokens)
        self._tokens += reply.tokens_in + reply.tokens_out
        self._usd += self.prices.of(reply.tokens_in, reply.tokens_out)
        return reply


def read_key(path: Path) -> str:
    """The key in a file that nobody else may read.

    Raises
    ------
    DataError
        There is no such file, it is empty, or others may read it.
    """
    if not path.is_file():
        raise DataError(f"There is no key file {path}. Write the key into it, and chmod 600 it.")
    if path.stat().st_mode & 0o077:
        raise DataError(f"Others may read the key file {path}. Run: chmod 600 {path}")
    key = path.read_text(encoding="utf-8").strip()
    if not key:
        raise DataError(f"The key file {path} is empty.")
    return key
