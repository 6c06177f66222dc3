"""What was not kept, and why: every row that is lost has a code, a place and its raw text."""

from dataclasses import dataclass

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
