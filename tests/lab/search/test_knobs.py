import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.search.knobs import read_knobs, with_values

SOURCE = """# größer: two bytes a letter
KNOBS = {"BLOCK": (256, 512), "MODE": ("a", "b")}
BLOCK = 256; MODE: str = "a"  # both on one line

def run(inputs, outputs, BLOCK=7):
    return BLOCK
"""


def test_reads_choices_and_present_values():
    knobs = read_knobs(SOURCE)
    assert knobs.choices == {"BLOCK": (256, 512), "MODE": ("a", "b")}
    assert knobs.values == {"BLOCK": 256, "MODE": "a"}


def test_writes_values_and_leaves_the_rest():
    changed = with_values(SOURCE, {"BLOCK": 512, "MODE": "b"})
    assert changed == SOURCE.replace('BLOCK = 256; MODE: str = "a"', "BLOCK = 512; MODE: str = 'b'")
    assert read_knobs(changed).values == {"BLOCK": 512, "MODE": "b"}


def test_what_is_written_is_what_is_read():
    for block in (256, 512):
        for mode in ("a", "b"):
            values = {"BLOCK": block, "MODE": mode}
            assert read_knobs(with_values(SOURCE, values)).values == values


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = 1", "KNOBS"),
        ("KNOBS = {'B': (1, 2)}", "constant B"),
        ("KNOBS = {'B': (1, 2)}\nB = 1\nB = 2", "two"),
        ("KNOBS = {'B': ()}\nB = 1", "choices for B"),
        ("KNOBS = {'B': (1, 2)}\nB = f()", "literal for B"),
        ("KNOBS = [1]", "dictionary"),
        ("def (", "line 1"),
    ],
)
def test_what_cannot_be_read_is_refused(source, names):
    with pytest.raises(ArgumentError, match=names):
        read_knobs(source)


def test_a_value_over_two_lines_is_not_cut():
    source = "KNOBS = {'B': (1, 2)}\nB = (\n    1\n)"
    changed = with_values(source, {"B": 2})
    assert read_knobs(changed).values == {"B": 2}
    with pytest.raises(ArgumentError, match="one line"):
        with_values("KNOBS = {'B': ('a', 'b')}\nB = ('a'\n'b')", {"B": "b"})
