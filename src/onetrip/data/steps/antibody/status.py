"""ANARCI_status in both of its formats: a line of clauses between bars, or a printed list.

There is no specification. Clauses are known by how they begin, or by what they contain where the
two formats put the words in another order; a clause that nobody knows is kept as it is.
"""

import functools
import re
from dataclasses import dataclass

import pyarrow as pa

from onetrip.data.text.flat_text import FlatText

# Flag -> what a clause of it contains, in lower case. Read in this order.
CLAUSES: tuple[tuple[str, str], ...] = (
    ("missing_conserved_cysteine", r"^missing conserved cysteine"),
    ("unusual_residue", r"^unusual (residue|amino acid)"),
    ("shorter_than_imgt", r"^shorter than imgt defined|is shorter than imgt defined"),
    ("kappa_gap_21", r"kappa.*gap.*\b21\b|gap.*\b21\b.*kappa"),
    ("cdr3_too_long", r"^cdr3 is over \d+ aa long"),
    ("has_deletions", r"^deletions?\b"),
    ("has_insertions", r"^insertions?\b"),
)
FLAGS: tuple[str, ...] = tuple(flag for flag, _ in CLAUSES)

_CLAUSES = tuple((flag, re.compile(pattern)) for flag, pattern in CLAUSES)
# A printed list quotes its clauses; a clause may hold an apostrophe where it is double-quoted.
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass(frozen=True, slots=True)
class Status:
    """What one status says: its flags, and its other clauses joined by "|", or None."""

    flags: frozenset[str]
    unknown: str | None


_NOTHING = Status(frozenset(), None)


# Of one shape each, and of those with something unknown.
@functools.lru_cache(maxsize=1 << 16)
def parse_status(text: str) -> Status:
    """Read one status.

    Parameters
    ----------
    text : ANARCI_status of one chain, of either format.

    Returns
    -------
    Status

    Examples
    --------
    >>> sorted(parse_status("|Deletions: 10, 73||Missing Conserved Cysteine: 23||").flags)
    ['has_deletions', 'missing_conserved_cysteine']
    >>> parse_status("['Unusual amino acid: X27', 'Odd moon phase']").unknown
    'Odd moon phase'
    """
    flags, unknown = set(), []
    for clause in _clauses(text):
        lower = clause.lower()
        flag = next((flag for flag, pattern in _CLAUSES if pattern.search(lower)), None)
        if flag is None:
            unknown.append(clause)
        else:
            flags.add(flag)
    return Status(frozenset(flags), "|".join(unknown) or None)


def parse_statuses(column: pa.Array) -> list[Status]:
    """Read a column of statuses [N], string.

    Most differ in positions only: without digits they are few, and each of these is read once.
    Where that leaves something unknown, it is read again as it stands.

    >>> import pyarrow as pa
    >>> one, other = parse_statuses(pa.array(["|Deletions: 10, 73||", "|Deletions: 1||Odd: 7|"]))
    >>> other.flags == one.flags, other.unknown
    (True, 'Odd: 7')
    """
    flat = FlatText.of(column)
    comma = flat.bytes == ord(",")
    positions = comma | (flat.bytes >= ord("0")) & (flat.bytes <= ord("9"))
    positions[1:] |= (flat.bytes[1:] == ord(" ")) & comma[:-1]
    shapes = flat.without(positions).to_arrow().dictionary_encode()
    parsed = [parse_status(shape) for shape in shapes.dictionary.to_pylist()]
    found = [
        parsed[shape] if shape is not None else _NOTHING for shape in shapes.indices.to_pylist()
    ]
    for row, status in enumerate(found):
        if status.unknown is not None:
            found[row] = parse_status(column[row].as_py())
    return found


def _clauses(text: str) -> list[str]:
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        inside = bare[1:-1]
        parts = [one or other for one, other in _QUOTED.findall(inside)]
        rest = _QUOTED.sub("", inside).replace(",", " ").strip()
        parts += [rest] if rest else []
    else:
        parts = bare.split("|")
    return [part.strip() for part in parts if part.strip()]
