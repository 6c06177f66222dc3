"""What an interval says, and what several say together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.lab.knowledge.effects import Effect, judgement, standing


def effect(workload, says):
    return Effect(1, 1, 1, None, "search", "1", workload, 0.1, 0.0, 0.2, says)


@pytest.mark.parametrize(
    ("low", "high", "least_effect", "says"),
    [
        (0.05, 0.10, 0.05, "supports"),
        (0.0499, 0.10, 0.05, "undecided"),
        (0.0, 0.05, 0.05, "undecided"),
        (0.0, 0.0499, 0.05, "refutes"),
        (0.0, 0.1, 0.0, "undecided"),
        (1e-9, 0.1, 0.0, "supports"),
        (-0.1, 0.0, 0.0, "refutes"),
    ],
)
def test_judgement_at_the_edges(low, high, least_effect, says):
    assert judgement(low, high, least_effect) == says


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.2), st.floats(0, 0.2))
def test_wider_interval_never_decides_more(low, width, least_effect, left, right):
    narrow = judgement(low, low + width, least_effect)
    wide = judgement(low - left, low + width + right, least_effect)
    assert wide in (narrow, "undecided")


def test_one_workload_refutes_and_all_must_support():
    supports, refutes = effect("a", "supports"), effect("b", "refutes")
    assert standing([supports], []) == "supports"
    assert standing([supports], ["a", "b"]) == "undecided"
    assert standing([supports, effect("b", "undecided")], []) == "undecided"
    assert standing([supports, refutes], []) == "refutes"
    assert standing([], []) == "undecided"
