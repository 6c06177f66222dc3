"""Statistics of a trial: an interval means what it says."""

import math
import random

import pytest

from onetrip.lab.judge.paired import median_interval, paired_speedup
from onetrip.lab.judge.schedule import block_order, blocks_wanted


def blocks(draw, count, factor):
    """Two samples a block; the machine's speed drifts from block to block."""
    speeds = [draw.uniform(0.5, 2.0) for _ in range(count)]
    return [[speed * factor * math.exp(draw.gauss(0, 0.05)) for _ in range(2)] for speed in speeds]


def test_a_drift_that_both_see_cancels():
    draw = random.Random(1)
    speeds = [draw.uniform(0.2, 5.0) for _ in range(16)]
    fast = [[speed * draw.uniform(0.99, 1.01)] * 2 for speed in speeds]
    slow = [[1.5 * speed * draw.uniform(0.99, 1.01)] * 2 for speed in speeds]
    speedup, low, high = paired_speedup(fast, slow)
    assert 1.47 < low < speedup < high < 1.53


@pytest.mark.parametrize("count", [6, 16])
def test_two_of_the_same_are_seldom_told_apart(count):
    draw = random.Random(count)
    decided = 0
    for _ in range(200):
        speeds = [draw.uniform(0.5, 2.0) for _ in range(count)]

        def side(speeds=speeds):
            return [[speed * math.exp(draw.gauss(0, 0.05)) for _ in range(2)] for speed in speeds]

        _, low, high = paired_speedup(side(), side())
        decided += low > 1 or high < 1
    assert decided < 200 * 0.12


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_blocks_decide_little(count):
    draw = random.Random(3)
    one = blocks(draw, count, 1.0)
    other = [[1.2 * value * draw.uniform(0.8, 1.25) for value in block] for block in one]
    _, low, high = paired_speedup(one, other)
    ratios = [sum(b) / sum(a) for a, b in zip(one, other, strict=True)]
    assert low <= min(ratios)
    assert high >= max(ratios)


def test_an_interval_holds_the_median_of_what_it_was_drawn_from():
    draw = random.Random(5)
    held = 0
    for trial in range(200):
        samples = [math.exp(draw.gauss(0, 0.3)) for _ in range(30)]
        _, low, high = median_interval(samples, trial)
        held += low <= 1.0 <= high
    assert held > 200 * 0.88


def test_a_block_is_its_own_mirror_image_and_its_order_changes():
    draw = random.Random(2)
    orders = [block_order(["candidate", "eager", "baseline"], draw) for _ in range(40)]
    assert all(order == order[::-1] and len(order) == 6 for order in orders)
    assert len({tuple(order) for order in orders}) == 6


def test_a_confirmation_takes_thirty_samples_a_side():
    assert 2 * blocks_wanted("confirm") >= 30
