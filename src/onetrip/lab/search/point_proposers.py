"""Proposers of parameter values by their names."""

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.search.models import SAMPLERS, Modelled
from onetrip.lab.search.points import Choices, Evolution, Grid, PointProposer


def point_proposer(name: str, choices: Choices, seed: int) -> PointProposer:
    """A proposer by name: "grid", "evolution", "TPE" or "CMA-ES".

    Raises
    ------
    ArgumentError
        Another name, or no parameter.
    """
    if not choices:
        raise ArgumentError(complaint("choices", expected="at least one parameter", got="none"))
    if name == "grid":
        return Grid(choices)
    if name == "evolution":
        return Evolution(choices, seed)
    if name in SAMPLERS:
        return Modelled(choices, seed, name)
    expected = f"one of {['grid', 'evolution', *SAMPLERS]}"
    raise ArgumentError(complaint("proposer", expected=expected, got=repr(name)))
