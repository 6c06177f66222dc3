"""Conditions as text: what they decide, what they refuse, and how null goes through them."""

import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.text.predicate import parse_predicate

TABLE = {
    "n": pa.array([1, 5, None], pa.uint16()),
    "x": pa.array([-1.5, 0.5, 2.5]),
    "good": pa.array([True, None, False]),
    "text": pa.array(["CARW", "", None]),
}


def decided(condition):
    return parse_predicate(condition).evaluate(TABLE.__getitem__).to_pylist()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("n >= 5", [False, True, None]),
        ("1 <= n < 5", [True, False, None]),
        ("x > -2 and x < 1", [True, True, False]),
        ("good", [True, None, False]),
        ("not good", [False, None, True]),
        ("good or n == 5", [True, True, None]),
        ("good and n == 1", [True, False, False]),
        ("text == 'CARW'", [True, False, None]),
        ("text in ['CARW', 'CARY']", [True, False, None]),
        ("not text in ('CARW',)", [False, True, None]),
        ("length(text) == 4", [True, False, None]),
        ("letters(text, 'ACRW')", [True, True, None]),
        ("letters(text, 'ACR')", [False, True, None]),
        ("matches(text, '^CA')", [True, False, None]),
        ("contains(text, 'RW')", [True, False, None]),
        ("missing(text)", [False, False, True]),
        ("good == true", [True, None, False]),
        ("x == -1.5", [True, False, False]),
    ],
)
def test_condition_decides(condition, expected):
    assert decided(condition) == expected


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "text.upper() == 'X'",
        "[n for n in text]",
        "lambda: n",
        "n if good else x",
        "n + 1 > 2",
        "n is None",
        "text in text",
        "text not in ['CARW']",
        "text in [n]",
        "sorted(text)",
        "length(text, 3) == 4",
        "letters(text)",
        "length('text') == 4",
        "5",
        "n >",
        "",
    ],
)
def test_what_is_not_of_the_language_is_refused(condition):
    with pytest.raises(ArgumentError, match="`condition` must be"):
        parse_predicate(condition)


def test_condition_on_the_wrong_type_names_the_condition():
    with pytest.raises(DataError, match="n == 'five'"):
        decided("n == 'five'")
