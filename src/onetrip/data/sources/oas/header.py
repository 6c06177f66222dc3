"""Line 2 of a unit: which columns it has, which of them are wanted, which layout this is."""

from collections import Counter
from collections.abc import Sequence

from onetrip.data.codes import explained
from onetrip.data.sources.oas.columns import LAYOUTS, OPTIONAL, Layout
from onetrip.data.sources.source import UnitError

_RAW_CHARACTERS = 1000
# Every unit has these, in every vintage.
_MARKS: dict[Layout, str] = {
    "unpaired": "sequence_alignment_aa",
    "paired": "sequence_alignment_aa_heavy",
}


def parse_header(line: bytes) -> tuple[str, ...]:
    r"""Names of the columns.

    Raises
    ------
    UnitError
        U10 there is none, U12 a name stands twice, U13 lines of JSON.

    >>> parse_header(b'sequence,"locus"\r\n')
    ('sequence', 'locus')
    """
    text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
    raw = text[:_RAW_CHARACTERS]
    if text.lstrip().startswith(("{", '"{')):
        raise UnitError("U13", explained("U13", ""), line=2, raw=raw)
    names = tuple(name.strip('"') for name in text.split(","))
    if names == ("",):
        raise UnitError("U10", explained("U10", "Line 2 is empty."), line=2)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise UnitError("U12", explained("U12", f"Twice: {', '.join(twice)}."), line=2, raw=raw)
    return names


def layout_of(names: Sequence[str]) -> Layout | None:
    """The layout whose columns these are; None where they are of no vintage that is known."""
    return next((layout for layout, mark in _MARKS.items() if mark in names), None)


def check_header(names: Sequence[str], wanted: Sequence[str], layout: Layout) -> tuple[str, ...]:
    """Those of the wanted columns that the unit has.

    Raises
    ------
    UnitError
        U10 it lacks some that no vintage may lack, U11 it is of another layout or of none.
    """
    raw = ",".join(names)[:_RAW_CHARACTERS]
    found = layout_of(names)
    if found != layout:
        here = f"This is a unit of the {found} layout." if found else "This is no unit of OAS."
        particulars = f"{here} Asked for: {layout}, {len(LAYOUTS[layout])} columns."
        raise UnitError("U11", explained("U11", particulars), line=2, raw=raw)
    missing = [name for name in wanted if name not in names and name not in OPTIONAL]
    if missing:
        particulars = f"Missing: {', '.join(missing)}."
        raise UnitError("U10", explained("U10", particulars), line=2, raw=raw)
    return tuple(name for name in wanted if name in names)
