"""A ladder of edits: each step a source, what it should bring, and what either end teaches."""

from dataclasses import dataclass

from onetrip.lab.agents.agent import Prediction


@dataclass(frozen=True, slots=True)
class Step:
    """One rung: `if_right` is learned when it came out as predicted, `if_wrong` otherwise."""

    title: str
    why: str
    source: str
    if_right: str
    if_wrong: str
    prediction: Prediction | None = None


def expected(title: str, rationale: str, least_effect: float, *, prior: float) -> Prediction:
    """A prediction that the time falls by `least_effect` of itself at least."""
    return Prediction(title, rationale, least_effect=least_effect, prior=prior)
