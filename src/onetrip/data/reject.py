"""What was not kept, and why: every row that is lost has a code, a place and its raw text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

# Longer raw text is cut; the place in the source tells where the rest is.
RAW_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reject:
    """One row, or one unit, that was set aside.

    `line` counts from 1 in the decompressed file, 0 speaks of the unit as a whole; `code` is one
    of `onetrip.data.codes`; `column` is "" where the whole row is meant; `raw` the text as read,
    undecodable bytes escaped.
    """

    unit_id: str
    line: int
    code: str
    column: str
    message: str
    raw: str


def placed(rejects: Sequence[Reject], lines_above: int) -> Sequence[Reject]:
    """Rejects of a step at their lines: a step knows `row_in_unit` alone, and says that as line.

    `lines_above` are those above row 1 of a unit.

    >>> placed([Reject("a.csv", 3, "R05", "n", "no number", "x")], 1)[0].line
    4
    """
    if not lines_above:
        return rejects
    return [replace(one, line=one.line + lines_above) if one.line else one for one in rejects]


SCHEMA = pa.schema(
    [
        ("unit_id", pa.string()),
        ("line", pa.int64()),
        ("code", pa.string()),
        ("column", pa.string()),
        ("message", pa.string()),
        ("raw", pa.string()),
    ]
)
