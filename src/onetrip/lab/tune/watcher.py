"""Who looks on while a tune runs: every call is a fact, none may change the tune."""

from collections.abc import Sequence
from dataclasses import dataclass

from onetrip.core.cost import Cost
from onetrip.core.device import Device
from onetrip.core.selection import Problem
from onetrip.lab.queue.claims import Claim
from onetrip.lab.store.history import Trial


@dataclass(frozen=True, slots=True)
class Opened:
    """What a tune works on, once that is known."""

    operator: str
    workload: str
    source: str
    problem: Problem
    device: Device
    cost: Cost
    objective: str
    points: int
    known: int
    budget_s: float


class Watcher:
    """Sees nothing. A screen overrides what it shows."""

    def note(self, text: str) -> None:
        """Say something that happens once: a wait, a recovery, the end of the space."""

    def preparing(self, stage: str, share: float | None) -> None:
        """The problem is being made; `share` of the stage is done, if that is known."""

    def opened(self, opened: Opened, trials: Sequence[Trial]) -> None:
        """The study is open; `trials` is what earlier tunes found."""

    def trying(self, claim: Claim, stage: str) -> None:
        """A candidate entered a stage of its trial."""

    def judged(self, trials: Sequence[Trial], experiment_id: int) -> None:
        """An experiment has an answer; `trials` is the whole study with it."""
