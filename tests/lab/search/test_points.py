import math
import random

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.search.point_proposers import point_proposer
from onetrip.lab.search.points import Tried, key, size

CHOICES = {"a": tuple(range(8)), "b": (16, 32, 64, 128), "c": (1, 2, 4, 8)}
NAMES = ("grid", "evolution", "TPE", "CMA-ES")


def cost(point):
    return (point["a"] - 5) ** 2 + abs(point["b"] - 64) / 16 + abs(point["c"] - 4)


def walk(name, steps, seed=1, score=cost):
    proposer = point_proposer(name, CHOICES, seed)
    tried = []
    for _ in range(steps):
        suggestion = proposer.propose(tried)
        if suggestion is None:
            break
        tried.append(Tried(suggestion.point, score(suggestion.point)))
    return tried


@pytest.mark.parametrize("name", NAMES)
def test_no_point_is_proposed_twice_and_none_is_left_out(name):
    small = {"a": (1, 2, 3), "b": ("x", "y")}
    proposer, tried = point_proposer(name, small, 0), []
    while (suggestion := proposer.propose(tried)) is not None:
        assert suggestion.why
        tried.append(Tried(suggestion.point, float(len(tried))))
    assert len({key(one.point) for one in tried}) == len(tried) == size(small)


@pytest.mark.parametrize("name", ["evolution", "TPE", "CMA-ES"])
def test_a_guided_walk_beats_chance(name):
    dice = random.Random(0)
    points = [{n: dice.choice(v) for n, v in CHOICES.items()} for _ in range(20 * 40)]
    chance = sum(min(map(cost, points[i : i + 40])) for i in range(0, 800, 40)) / 20
    found = sum(min(one.score for one in walk(name, 40, seed)) for seed in range(3)) / 3
    assert found <= chance


@pytest.mark.parametrize("name", NAMES)
def test_the_same_history_gives_the_same_proposal(name):
    tried = walk(name, 9)
    again = [point_proposer(name, CHOICES, 1).propose(tried) for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("name", NAMES)
def test_failures_and_waiting_points_are_bearable(name):
    tried = walk(name, 12, score=lambda point: math.inf if point["c"] > 2 else cost(point))
    suggestion = point_proposer(name, CHOICES, 1).propose([*tried, Tried({"a": 0}, None)])
    assert suggestion is not None


def test_an_unknown_proposer_names_those_that_are():
    with pytest.raises(ArgumentError, match=r"evolution.*TPE"):
        point_proposer("annealing", CHOICES, 0)
    with pytest.raises(ArgumentError, match="at least one"):
        point_proposer("grid", {}, 0)
