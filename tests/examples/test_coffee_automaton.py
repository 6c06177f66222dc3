"""The cup: nothing is lost, kernel and torch agree to the bit, and complexity rises and falls."""

import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from onetrip.core.errors import ArgumentError, DtypeError, ShapeError
from onetrip.tile.compile_case import TARGETS

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    """The example's modules, imported as when it runs as a script."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("coffee_automaton")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def operator(example):
    return importlib.import_module("coffee.mix")


@pytest.fixture(scope="module")
def frames(example):
    return example.history(64, frames=12, seed=2)


def random_cup(example, height, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(height, columns, generator=generator) < 0.4
    return cells, example.pack(cells)


def test_packing_comes_back(example):
    cells, cup = random_cup(example, 5, 192)
    assert cup.shape == (5, 6)
    assert torch.equal(example.unpack(cup), cells)


def by_hand(cells, words, along_rows, second, random_bits):
    """One step on unpacked cells, pair by pair: what the words must do."""
    cells = cells.clone()
    height, columns = cells.shape
    for row in range(height):
        for column in range(columns):
            if along_rows:
                # In the numbering of words, so that pairs of words do not overlap.
                word = column % words
                pairs = word % 2 == second and column + 1 < columns
                other = (row, column + 1)
            else:
                pairs = row >= second and (row - second) % 2 == 0 and row + 1 < height
                other = (row + 1, column)
            if pairs and random_bits[row, column]:
                cells[row, column], cells[other] = cells[other].clone(), cells[row, column].clone()
    return cells


def test_step_is_what_it_says_cell_by_cell(example, operator):
    seen = set()
    for step in range(12):
        cells, cup = random_cup(example, 5, 128, seed=step)
        key = operator._key(step, 7)
        pairing = operator.pairing(key)
        seen.add(pairing)
        mixed = operator.mixed
        words = [mixed(mixed(n + key) ^ mixed(key + 1)) for n in range(cup.numel())]
        signed = torch.tensor(words, dtype=torch.int64).where(
            torch.tensor(words) < 1 << 31, torch.tensor(words) - (1 << 32)
        )
        bits = example.unpack(signed.int().view(cup.shape))
        wanted = by_hand(cells, cup.shape[1], *pairing, bits)
        assert torch.equal(example.unpack(operator.mix(cup, start=step, seed=7)), wanted)
    assert len(seen) == 4


@pytest.mark.parametrize(("height", "columns"), [(1, 64), (2, 64), (7, 128), (32, 256)])
def test_kernel_gives_the_bits_of_torch(example, height, columns):
    _, cup = random_cup(example, height, columns)
    ours, theirs = cup.clone(), cup.clone()
    example.mix(ours, start=3, steps=12, seed=5, impl="torch")
    example.mix(theirs, start=3, steps=12, seed=5, impl="triton")
    assert torch.equal(ours, theirs)
    assert height * columns < 200 or not torch.equal(ours, cup)


def test_steps_can_be_taken_in_parts(example):
    _, cup = random_cup(example, 16, 64)
    whole, parts = cup.clone(), cup.clone()
    example.mix(whole, steps=150)
    for start, steps in ((0, 1), (1, 64), (65, 85)):
        example.mix(parts, start=start, steps=steps)
    assert torch.equal(whole, parts)


def test_nothing_is_lost_and_seeds_differ(example):
    cells, cup = random_cup(example, 33, 128)
    other = cup.clone()
    example.mix(cup, steps=200)
    example.mix(other, steps=200, seed=1)
    assert int(example.unpack(cup).sum()) == int(cells.sum()) == int(example.unpack(other).sum())
    assert not torch.equal(cup, other)


def test_chance_is_even(example):
    """After many steps every place of the cup is as likely to hold cream as any other."""
    cells = torch.zeros(16, 64, dtype=torch.bool)
    cells[:8] = True
    cup, held = example.pack(cells), torch.zeros(16, 64)
    example.mix(cup, steps=1000)
    for sample in range(300):
        held += example.unpack(example.mix(cup, start=1000 + 20 * sample, steps=20))
    # Cells of one row follow each other in time too: only means over many are narrow.
    assert (held.mean(1) / 300).numpy() == pytest.approx(0.5, abs=0.05)
    assert (held.mean(0) / 300).numpy() == pytest.approx(0.5, abs=0.1)


def test_complexity_rises_and_falls_and_entropy_only_rises(example, frames):
    most = example.peak(frames)
    assert frames[0].step == 0
    assert frames[-1].step >= 4 * 64**2 - 1
    assert most.complexity_bits > 10 * frames[0].complexity_bits
    assert most.complexity_bits > 3 * frames[-1].complexity_bits
    entropy = [frame.entropy_bits for frame in frames]
    assert entropy[-1] > 0.95 * max(entropy)
    assert all(later > 0.9 * earlier for earlier, later in itertools.pairwise(entropy))


def test_plots_are_drawn(example, frames, tmp_path):
    example.plot({64: frames}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cups.svg", "curves.svg"]
    assert "complexity" in (tmp_path / "curves.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("grid", "error"),
    [
        (torch.zeros(4, 3, dtype=torch.int32), ShapeError),
        (torch.zeros(4, dtype=torch.int32), ShapeError),
        (torch.zeros(4, 2), DtypeError),
        (torch.zeros(4, 4, dtype=torch.int32)[:, ::2], DtypeError),
    ],
)
def test_wrong_grid_is_refused(example, grid, error):
    with pytest.raises(error, match="`grid` must be"):
        example.mix(grid)


def test_unknown_implementation_and_narrow_cup_are_refused(example):
    with pytest.raises(ArgumentError, match="`impl`"):
        example.mix(torch.zeros(2, 2, dtype=torch.int32), impl="spoon")
    with pytest.raises(ShapeError, match="multiple of 64"):
        example.pack(torch.zeros(4, 32, dtype=torch.bool))


def test_kernel_compiles_for_every_target():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-m", "onetrip.testing.compile_lane", "coffee.kernel_triton"],
        env={**environment, "PYTHONPATH": str(EXAMPLES)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr + run.stdout
    compiled = [json.loads(line) for line in run.stdout.splitlines()]
    assert {one["case"] for one in compiled} == {"rows", "columns"}
    assert len([one for one in compiled if one["target"] in TARGETS]) == 10
