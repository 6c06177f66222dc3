"""From text to typed columns, a batch at a time; what does not fit is pointed at, never guessed.

Every cast takes a string column and gives a `Cast`: the values, null where there is none and where
the text is wrong, and the rows that are wrong, by the code of what is wrong with them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.steps.antibody.vocabulary import NULLS
from onetrip.data.text.flat_text import FlatText

NOT_A_VALUE, NOT_ALLOWED, NOT_INTEGRAL = "R05", "R06", "R07"

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TRUE, _FALSE = ("t", "true"), ("f", "false")
_UINT16, _UINT32 = pa.uint16(), pa.uint32()
_NO_FAULTS: Mapping[str, np.ndarray] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cast:
    """Typed values [N], and for each code a mask [N] of the rows whose text is wrong."""

    values: pa.Array
    faults: Mapping[str, np.ndarray] = field(default_factory=lambda: _NO_FAULTS)


def text(column: pa.Array) -> Cast:
    """Any text; "" is null. Nothing is trimmed: NA is a peptide as good as any."""
    return Cast(_without_empty(column))


def residues(column: pa.Array) -> Cast:
    """Amino acids in upper case, without the gaps of an alignment; "" is null."""
    flat = FlatText.of(column)
    if flat.bytes.size and flat.bytes.max() >= ord("a"):
        flat = FlatText.of(pc.ascii_upper(column))
    gaps = (flat.bytes == ord("-")) | (flat.bytes == ord("."))
    if gaps.any():
        flat = flat.without(gaps)
    return Cast(_without_empty(flat.to_arrow()))


def flag(column: pa.Array) -> Cast:
    """T or F, as AIRR writes them, or true and false in any case."""
    column = _without_empty(column)
    values = _truth(pc.equal(column, "T"), pc.equal(column, "F"))
    if values.null_count > column.null_count:
        column = _without_nulls(pc.utf8_trim_whitespace(column))
        lower = pc.ascii_lower(column)
        values = _truth(_is_one_of(lower, _TRUE), _is_one_of(lower, _FALSE))
    return _judged(values, {NOT_ALLOWED: _mask(column.is_valid()) & _mask(values.is_null())})


def locus(column: pa.Array) -> Cast:
    """H, K or L; IGH, IGK and IGL mean the same."""
    column = _without_empty(column)
    letters = pa.array(["H", "K", "L"])
    if not pc.all(pc.is_in(column, value_set=letters), skip_nulls=True).as_py() or (
        column.null_count
    ):
        column = _without_nulls(pc.utf8_trim_whitespace(column))
        column = pc.replace_substring_regex(column, "^IG([HKL])$", r"\1")
    known = _mask(pc.is_in(column, value_set=letters))
    wrong = _mask(column.is_valid()) & ~known
    return _judged(column, {NOT_ALLOWED: wrong})


def number(column: pa.Array) -> Cast:
    """A float64; nan is null, and what is infinite is not allowed."""
    column = _without_empty(column)
    not_numbers = None
    try:
        values = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        column = _without_nulls(pc.utf8_trim_whitespace(column))
        numbers = pc.match_substring_regex(column, _NUMBER)
        not_numbers = _mask(pc.invert(numbers))
        # Arrow reads no plus in front of a number.
        plain = pc.if_else(numbers, pc.utf8_ltrim(column, "+"), None)
        values = pc.cast(plain, pa.float64())
    bare = values.to_numpy(zero_copy_only=False)
    finite = np.isfinite(bare)
    faults = {} if not_numbers is None else {NOT_A_VALUE: not_numbers}
    infinite = np.isinf(bare)
    if infinite.any():
        faults[NOT_ALLOWED] = infinite
    if not finite.all():
        values = pa.array(bare, pa.float64(), mask=~finite)
    return _judged(values, faults)


def count(column: pa.Array, *, low: int = 0, to: pa.DataType = _UINT16) -> Cast:
    """A whole number, also where it is written 33.0, of the unsigned type `to` (uint16)."""
    cast = number(column)
    values = cast.values.to_numpy(zero_copy_only=False)
    present = ~np.isnan(values)
    whole = values == np.floor(values)
    high = 2**to.bit_width - 1
    outside = present & whole & ((values < low) | (values > high))
    good = present & whole & ~outside
    typed = pa.array(np.where(good, values, 0.0).astype(to.to_pandas_dtype()), to, mask=~good)
    faults = dict(cast.faults)
    for code, mask in ((NOT_INTEGRAL, present & ~whole), (NOT_ALLOWED, outside)):
        if mask.any():
            faults[code] = faults[code] | mask if code in faults else mask
    return Cast(typed, faults)


def copies(column: pa.Array) -> Cast:
    """How often a sequence was seen: uint32, at least 1, and 1 where nothing is said."""
    cast = count(column, low=1, to=_UINT32)
    if not cast.values.null_count:
        return cast
    return Cast(pc.fill_null(cast.values, pa.scalar(1, _UINT32)), cast.faults)


CASTS: Mapping[str, tuple[Callable[[pa.Array], Cast], pa.DataType]] = {
    "text": (text, pa.string()),
    "residues": (residues, pa.string()),
    "flag": (flag, pa.bool_()),
    "locus": (locus, pa.string()),
    "number": (number, pa.float64()),
    "count": (count, _UINT16),
    "copies": (copies, _UINT32),
}


def _without_empty(column: pa.Array) -> pa.Array:
    """Null in place of "": a new bitmap over the same text."""
    flat = FlatText.of(column)
    empty = flat.lengths == 0
    if not empty.any() or int(empty.sum()) == column.null_count:
        return column
    return flat.to_arrow(valid=~empty)


def _without_nulls(column: pa.Array) -> pa.Array:
    """Null in place of the words that mean it."""
    return pc.if_else(_is_one_of(pc.utf8_lower(column), NULLS), None, column)


def _is_one_of(column: pa.Array, words: Iterable[str]) -> pa.Array:
    return pc.is_in(column, value_set=pa.array(sorted(words)))


def _truth(true: pa.Array, false: pa.Array) -> pa.Array:
    return pc.if_else(pc.or_(true, false), true, None)


def _judged(values: pa.Array, faults: Mapping[str, np.ndarray]) -> Cast:
    """Null where a fault is, and only the faults that there are."""
    there = {code: mask for code, mask in faults.items() if mask.any()}
    for mask in there.values():
        values = pc.if_else(pa.array(mask), None, values)
    return Cast(values, there)


def _mask(values: pa.Array) -> np.ndarray:
    """A boolean column as a mask; null is false."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)
