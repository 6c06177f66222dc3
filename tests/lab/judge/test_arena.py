"""Output buffers: poisoned, guarded, aligned."""

import pytest
import torch

from onetrip.lab.judge.arena import GUARD, arena_from, lay_out
from onetrip.lab.problems.problem import OutputSpec

SPECS = [
    OutputSpec("y", (3, 5), "bfloat16"),
    OutputSpec("flag", (7,), "bool"),
    OutputSpec("none", (0, 4), "float32"),
    OutputSpec("loss", (), "float32"),
]


@pytest.fixture
def arena():
    return lay_out(SPECS)


@pytest.fixture
def memory(arena):
    memory = torch.zeros(arena.total_bytes, dtype=torch.uint8)
    arena.poison(memory)
    return memory


def test_views_have_the_shapes_asked_for_and_hold_poison(arena, memory):
    views = arena.views(memory)
    assert {name: (tuple(view.shape), view.dtype) for name, view in views.items()} == {
        "y": ((3, 5), torch.bfloat16),
        "flag": ((7,), torch.bool),
        "none": ((0, 4), torch.float32),
        "loss": ((), torch.float32),
    }
    assert views["y"].isnan().all()
    assert views["loss"].isnan()
    assert arena.unwritten(memory) == ["y", "flag", "loss"]


def test_every_output_begins_aligned(arena):
    assert all(place.offset % 256 == 0 for place in arena.places)


def test_writing_the_outputs_leaves_the_guards(arena, memory):
    for view in arena.views(memory).values():
        view.zero_()
    assert arena.overwritten_guards(memory) == []
    assert arena.unwritten(memory) == []


@pytest.mark.parametrize("side", ["before", "behind"])
def test_one_byte_beyond_an_output_is_seen(arena, memory, side):
    for place in arena.places:
        at = place.offset - 1 if side == "before" else place.offset + place.size_bytes
        memory[at] = GUARD ^ 1
        assert arena.overwritten_guards(memory) == [at]
        memory[at] = GUARD


def test_a_layout_travels(arena):
    assert arena_from(arena.as_dict()) == arena
