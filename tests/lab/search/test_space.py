"""The points of a space, and which of them are refused."""

import pytest

from onetrip.core import tuning
from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.core.selection import Problem
from onetrip.core.tuning import TunedEntry
from onetrip.lab.search.space import open_space

PROBLEM = Problem({"N": 64, "D": 16}, "float32", device_name="laptop")


@pytest.fixture
def space(toy):
    return open_space("toy", PROBLEM, memory_bytes=15 << 20)


def test_all_points_are_listed_once(space):
    points = [tuple(sorted(config.items())) for _, config in space.points()]
    assert len(points) == len(set(points)) == space.size == 15


def test_what_is_not_searched_has_its_default(space):
    assert all(config["defect"] == 0 for _, config in space.points())


def test_neighbours_are_one_step_along_one_parameter(space):
    config = {"size": 4, "unroll": 1, "defect": 0}
    found = {(name, other[name]) for name, other in space.neighbours("torch", config)}
    assert found == {("size", 2), ("size", 8), ("unroll", 2)}


def test_a_configuration_off_the_grid_has_neighbours_on_it(space):
    config = {"size": 5, "unroll": 9, "defect": 0}
    found = {(name, other[name]) for name, other in space.neighbours("torch", config)}
    assert found == {("size", 4), ("size", 8), ("unroll", 3)}


def test_the_operators_rule_comes_before_memory(space):
    assert space.refuses("torch", {"size": 8, "unroll": 1, "defect": 0}) is None
    assert "at most 32" in space.refuses("torch", {"size": 16, "unroll": 3, "defect": 0})
    reason = space.refuses("torch", {"size": 16, "unroll": 1, "defect": 0})
    assert reason == "its workspace of 16.0 MiB is more than the 15.0 MiB that are free"


def test_a_tuning_table_does_not_move_the_default(toy):
    """Or a second tune would measure against the winner of the first, and call it slow."""
    winner = {"size": 8, "unroll": 3, "defect": 0}
    entry = TunedEntry("toy", "laptop", "torch", "float32", PROBLEM.axes, winner, 1.0, 2.0, "")
    tuning.record_winner(tuning.user_table("toy", "laptop"), entry)
    assert open_space("toy", PROBLEM).defaults["torch"]["size"] == 2


def test_an_unknown_implementation_is_named(toy):
    with pytest.raises(ArgumentError, match="tritn"):
        open_space("toy", PROBLEM, impls=("torch", "tritn"))


def test_a_named_implementation_without_parameters_is_refused(toy):
    with pytest.raises(UnsupportedError, match="reference: has no parameters to tune"):
        open_space("toy", PROBLEM, impls=("torch", "reference"))


def test_the_real_operator_has_a_space_on_a_cpu():
    problem = Problem({"N": 2048, "D": 256, "V": 8192}, "float32")
    space = open_space("linear_cross_entropy", problem)
    assert set(space.parameters) == {"torch"}
    assert space.defaults["torch"] in [config for _, config in space.points()]
