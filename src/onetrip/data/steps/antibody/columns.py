"""The contract of column names: what the source calls a column, what we call it, what it holds."""

import re
from dataclasses import dataclass

# OAS's name in lower case -> ours, where they differ.
RENAMED = {"sequence_alignment_aa": "sequence_aa"}

FLAGS = frozenset(
    {"stop_codon", "vj_in_frame", "v_frameshift", "productive", "rev_comp", "complete_vdj"}
)
_COUNT = re.compile(r"_(start|end|length)$")
_NUMBER = re.compile(r"_(score|identity|support)$")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: our name, and the kind of value that `casts` makes of its text."""

    name: str
    kind: str


def column(base: str) -> Column:
    """Our name and kind of a column, by its name in the source without a chain's suffix.

    >>> column("Redundancy"), column("v_sequence_start").kind
    (Column(name='redundancy', kind='copies'), 'count')
    """
    lower = base.lower()
    name = RENAMED.get(lower, lower)
    if name.startswith("meta_"):
        return Column(name, "metadata")
    if name in FLAGS:
        return Column(name, "flag")
    for kind, names in (("residues", "sequence_aa"), ("locus", "locus"), ("copies", "redundancy")):
        if name == names:
            return Column(name, kind)
    if _COUNT.search(name):
        return Column(name, "count")
    return Column(name, "number" if _NUMBER.search(name) else "text")
