"""How much is done for one candidate follows from the machine and the problem."""

import dataclasses

import pytest

from onetrip.core.selection import Problem
from onetrip.lab.tune import effort

OPERATOR = "linear_cross_entropy"
PROBLEM = Problem({"N": 2048, "D": 256, "V": 8192}, "float32")


@pytest.fixture
def laptop(make):
    return dataclasses.replace(make.device, tflops={"float32": 0.1, "float64": 0.05})


def rows(device, memory_bytes=None, problem=PROBLEM):
    return effort.truth_rows(OPERATOR, problem, device, backward=True, memory_bytes=memory_bytes)


def test_a_problem_that_is_quickly_computed_has_a_truth_for_all_rows(laptop):
    small = dataclasses.replace(PROBLEM, axes={"N": 67, "D": 40, "V": 143})
    assert rows(laptop, problem=small) is None
    fast = dataclasses.replace(laptop, tflops={"float64": 60.0})
    assert rows(fast) is None


def test_a_slower_device_has_a_truth_for_fewer_rows(laptop):
    slower = dataclasses.replace(laptop, tflops={"float64": 0.01})
    slowest = dataclasses.replace(laptop, tflops={"float64": 1e-6})
    some, few = rows(slower), rows(slowest)
    assert some is not None
    assert few is not None
    assert 2048 > some > few >= 1


def test_truth_must_fit_into_memory(laptop):
    # The logits of all rows take 134 MB in float64, and their gradients as much again.
    some = rows(laptop, memory_bytes=200_000_000)
    assert some is not None
    assert some < 512


def test_plain_torch_is_left_out_where_it_has_no_room():
    assert effort.eager_fits(OPERATOR, PROBLEM, None)
    assert effort.eager_fits(OPERATOR, PROBLEM, 10**12)
    assert not effort.eager_fits(OPERATOR, PROBLEM, 10**6)
