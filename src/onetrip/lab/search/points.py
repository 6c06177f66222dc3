"""Proposers of parameter values behind one interface: the whole grid, or a walk by evolution."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from onetrip.lab.search.knobs import Value

Choices = Mapping[str, Sequence[Value]]
Point = Mapping[str, Value]

# Parents are the best quarter; below this many results a parent would be an accident.
_PARENT_SHARE = 4
_FEWEST_RESULTS = 4
_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Tried:
    """A point and its score, smaller is better; None while it waits, inf when it failed."""

    point: Point
    score: float | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The next point, and why this one."""

    point: Point
    why: str


class PointProposer(Protocol):
    """Proposes each point of a space once, from what became of those before."""

    name: str

    def propose(self, tried: Sequence[Tried]) -> Suggestion | None:
        """The next point; None when none is left."""
        ...


def size(choices: Choices) -> int:
    """Number of points.

    >>> size({"a": (1, 2), "b": (1, 2, 3)})
    6
    """
    return math.prod(len(values) for values in choices.values())


def key(point: Point) -> tuple:
    """A point as something that can be counted and compared."""
    return tuple(sorted(point.items()))


class Grid:
    """Every point in order, the last parameter fastest."""

    name = "grid"

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def propose(self, tried: Sequence[Tried]) -> Suggestion | None:
        """The first point that was not tried."""
        known = {key(one.point) for one in tried}
        for number, point in enumerate(self._points(), start=1):
            if key(point) not in known:
                return Suggestion(point, f"point {number} of {size(self._choices)} of the grid")
        return None

    def _points(self) -> Iterator[Point]:
        for values in itertools.product(*self._choices.values()):
            yield dict(zip(self._choices, values, strict=True))


class Evolution:
    """A child of two good parents, with one value changed.

    Values are taken as ordered: a change goes to a neighbour more often than far away.
    """

    name = "evolution"

    def __init__(self, choices: Choices, seed: int) -> None:
        self._choices = choices
        self._seed = seed

    def propose(self, tried: Sequence[Tried]) -> Suggestion | None:
        """A child of the best quarter; a random point while there are too few results."""
        known = {key(one.point) for one in tried}
        if len(known) >= size(self._choices):
            return None
        dice = random.Random(f"{self._seed}/{len(tried)}")
        able = sorted(
            (one for one in tried if one.score is not None and math.isfinite(one.score)),
            key=lambda one: one.score or 0.0,
        )
        if len(able) >= _FEWEST_RESULTS:
            parents = able[: max(2, len(able) // _PARENT_SHARE)]
            for _ in range(_DRAWS):
                child, why = self._child(parents, dice)
                if key(child) not in known:
                    return Suggestion(child, why)
        for _ in range(_DRAWS):
            point = {name: dice.choice(list(values)) for name, values in self._choices.items()}
            if key(point) not in known:
                return Suggestion(point, f"drawn at random: {len(able)} results so far")
        return Grid(self._choices).propose(tried)

    def _child(self, parents: Sequence[Tried], dice: random.Random) -> tuple[Point, str]:
        mother, father = dice.sample(list(parents), 2)
        child = {
            name: dice.choice((mother.point[name], father.point[name])) for name in self._choices
        }
        name = dice.choice(list(self._choices))
        values = list(self._choices[name])
        place = values.index(child[name]) if child[name] in values else 0
        # Two of three changes are one step, the third goes anywhere.
        step = dice.choice((-1, 1)) if dice.random() < 2 / 3 else dice.randrange(len(values))
        before, child[name] = child[name], values[(place + step) % len(values)]
        why = f"child of two of the best {len(parents)}, {name} {before} → {child[name]}"
        return child, why
