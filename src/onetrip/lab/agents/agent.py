"""What an agent is to the lab: given a brief and what was tried, it says what to try next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from onetrip.core.errors import OnetripError


class AgentStopped(OnetripError):
    """An agent cannot go on: its budget is spent, or what it thinks with does not answer."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an agent expects before it sees a result; the lab declares it as a hypothesis.

    `least_effect` is relative: 0.2 says that the metric moves by a fifth at least.
    """

    title: str
    rationale: str
    metric: str = "latency_ms"
    direction: str = "decrease"
    least_effect: float = 0.05
    workloads: tuple[str, ...] = ()
    prior: float = 0.5


@dataclass(frozen=True, slots=True)
class Proposal:
    """One candidate and why it is worth a measurement.

    `parent` is the experiment that it was made from: the candidate is compared with that one's,
    and the diff is shown against it.
    """

    source: str
    title: str
    why: str
    parent: int | None = None
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """One experiment of this agent, as far as it has come.

    `speedup` with its interval is over the parent, or over the champion where there is no parent.
    """

    experiment_id: int
    title: str
    state: str
    reason: str = ""
    source: str = ""
    median_ms: float | None = None
    share_of_floor: float | None = None
    speedup: float | None = None
    low: float | None = None
    high: float | None = None
    hypothesis_id: int | None = None
    hypothesis_status: str = ""

    @property
    def faster(self) -> bool:
        """It is right, and the whole interval of its speedup lies above 1."""
        return self.state == "done" and self.low is not None and self.low > 1.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an agent takes from its experiments; the lab keeps it as a learning."""

    text: str
    confidence: float
    about: tuple[int, ...] = ()


class Agent(Protocol):
    """Proposes candidates for one problem; holds no database and measures nothing."""

    @property
    def name(self) -> str:
        """Under which its experiments are filed: "agent:scripted"."""
        ...

    def propose(self, brief: Mapping[str, object], history: Sequence[Past]) -> Proposal | None:
        """What to try next; None when it has nothing more to try.

        Raises
        ------
        AgentStopped
            It cannot think of it: the message says why.
        """
        ...

    def learn(self, brief: Mapping[str, object], history: Sequence[Past]) -> Sequence[Lesson]:
        """What the whole of it taught, asked once, at the end."""
        ...

    def spent(self) -> Mapping[str, float]:
        """What its thinking cost so far: {"tokens": …, "usd": …}; empty when nothing."""
        ...
