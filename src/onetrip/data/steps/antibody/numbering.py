"""ANARCI_numbering to IMGT positions, a batch at a time.

The text is a printed Python dictionary of regions, each a dictionary of positions::

    {'fwh1': {'1 ': 'Q', '2 ': 'V'}, 'cdrh1': {}, 'cdrh3': {'112B': 'G', '112A': 'S', '112 ': 'Y'}}

Nothing is evaluated. All texts of a batch are one array of bytes, of which the colons are looked
at: each stands between a key and its residue, or between a name and its region. From what was
found, the length follows that a text must have: one character too many, or too few, and it is not
read at all.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onetrip.data.text.flat_text import FlatText

# Insertions at these are written backwards: 112B, 112A, 112.
_REVERSED = (33, 61, 112)
_LETTERS = 27  # none, A to Z
_HIGHEST = 128
# Rows at once: what is worked on stays in a core's cache.
_ROWS = 512

# "111A" and "cdrh3", and some room.
_LONGEST_KEY, _LONGEST_NAME = 4, 8
_NOT_A_KEY = 1 << 20
# Characters around a key with its residue, "'': 'Q'", and around a region with its name, "'': {}".
_AROUND_POSITION = 7
_AROUND_REGION = 6
_NOT_A_DIGIT = 1000
_DIGITS = np.full(256, _NOT_A_DIGIT, np.int32)
_DIGITS[ord("0") : ord("9") + 1] = np.arange(10)


@dataclass(frozen=True, slots=True)
class Numbered:
    """Positions and residues of all rows, flat, in IMGT order; rows that cannot be read are empty.

    `codes[offsets[i]:offsets[i + 1]]` are row `i`'s positions, to be looked up in `LABELS`.
    """

    codes: np.ndarray  # [R] uint16
    residues: np.ndarray  # [R] uint8
    offsets: np.ndarray  # [N + 1] int32
    readable: np.ndarray  # [N] bool


def _labels() -> list[str]:
    """Every position by its code: 27 · (number - 1) + insertion letter."""
    letters = ["", *(chr(ord("A") + i) for i in range(26))]
    return [f"{number}{letter}" for number in range(1, _HIGHEST + 1) for letter in letters]


LABELS = tuple(_labels())


def _ranks() -> np.ndarray:
    """Place of every code in IMGT order."""
    order = []
    for number in range(1, _HIGHEST + 1):
        codes = [(number - 1) * _LETTERS + letter for letter in range(_LETTERS)]
        order += codes[::-1] if number in _REVERSED else codes
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


_RANKS = _ranks()


def read_numbering(column: pa.Array) -> Numbered:
    """Read a column of printed dictionaries.

    Parameters
    ----------
    column : Array [N], string. Null and "" are not readable.

    Returns
    -------
    Numbered

    Examples
    --------
    >>> import pyarrow as pa
    >>> text = "{'fwh1': {'2 ': 'V', '1 ': 'Q'}, 'cdrh3': {'111A': 'G'}}"
    >>> numbered = read_numbering(pa.array([text, "{'fwh1': {'1 ': 'Q'}"]))
    >>> [LABELS[code] for code in numbered.codes], numbered.residues.tobytes()
    (['1', '2', '111A'], b'QVG')
    >>> numbered.readable.tolist()
    [True, False]
    """
    parts = [_read(column.slice(at, _ROWS)) for at in range(0, max(len(column), 1), _ROWS)]
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return Numbered(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.residues for part in parts]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        np.concatenate([part.readable for part in parts]),
    )


def _read(column: pa.Array) -> Numbered:
    flat = FlatText.of(column)
    text = np.concatenate([flat.bytes, np.zeros(4, np.uint8)])
    colons = np.flatnonzero(text == ord(":"))
    follows = text[colons + 2]
    positions = colons[(follows == ord("'")) & (text[colons + 4] == ord("'"))]
    regions = colons[follows == ord("{")]
    ends = np.searchsorted(positions, flat.offsets)
    count = np.diff(ends)
    key = _key_length(text, positions, _LONGEST_KEY)
    name = _key_length(text, regions, _LONGEST_NAME)
    where = np.searchsorted(regions, flat.offsets)
    filled = _sums(text[regions + 3] == ord("'"), where)
    # Two braces around all, ", " between regions, and between the positions of each.
    commas = np.maximum(np.diff(where) - 1, 0) + count - filled
    wanted = 2 + _sums(key + _AROUND_POSITION, ends) + _sums(name + _AROUND_REGION, where)
    readable = (count > 0) & (flat.lengths == wanted + 2 * commas)

    codes = _codes(text, positions, key)
    residues = text[positions + 3]
    rows = np.repeat(np.arange(len(column)), count)
    is_residue = (residues >= ord("A")) & (residues <= ord("Z")) | (residues == ord("*"))
    readable[rows[(codes < 0) | ~is_residue]] = False
    order = rows * _RANKS.size + _RANKS[codes]
    if (order[1:] < order[:-1]).any():
        place = np.argsort(order, kind="stable")
        order, codes, residues = order[place], codes[place], residues[place]
    readable[rows[1:][order[1:] == order[:-1]]] = False
    if not readable.all():
        keep = readable[rows]
        codes, residues, count = codes[keep], residues[keep], count * readable
    offsets = np.append(0, np.cumsum(count)).astype(np.int32)
    return Numbered(codes.astype(np.uint16), residues, offsets, readable)


def _key_length(text: np.ndarray, colons: np.ndarray, longest: int) -> np.ndarray:
    """Characters between the two quotes in front of each colon; far too many where they lack."""
    length = np.full(colons.size, _NOT_A_KEY, np.int32)
    for characters in range(longest, 0, -1):
        length[text[colons - 2 - characters] == ord("'")] = characters
    length[text[colons - 1] != ord("'")] = _NOT_A_KEY
    return length


def _codes(text: np.ndarray, colons: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The code of each key, -1 where it is no position."""
    last = text[colons - 2]
    letter = np.where((last >= ord("A")) & (last <= ord("Z")), last - np.uint8(ord("A") - 1), 0)
    has_tail = (letter > 0) | (last == ord(" "))
    digits = key - has_tail
    end = colons - 2 - has_tail
    number = _DIGITS[text[end]]
    for place, scale in ((1, 10), (2, 100)):
        number = number + np.where(digits > place, scale * _DIGITS[text[end - place]], 0)
    good = (digits >= 1) & (digits <= 3) & (number >= 1) & (number <= _HIGHEST)
    return np.where(good, (number - 1) * _LETTERS + letter, -1)


def _sums(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Sum of the values between each two neighbours of `bounds`."""
    running = np.zeros(values.size + 1, np.int64)
    np.cumsum(values, out=running[1:])
    return np.diff(running[bounds])
