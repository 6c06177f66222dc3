"""Everything that can be wrong with input: code, level, what is done about it, the way out.

`U…` speaks of a unit, `R…` of a row, `S…` of the run itself. The messages of errors, the table in
the guide and the engine's limits all come from here.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["unit", "row", "warning", "run"]


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of fault.

    `level` says what it costs: "unit" the whole unit, "row" one row, "warning" nothing, "run" an
    attempt of a task.
    """

    code: str
    name: str
    level: Level
    meaning: str
    action: str
    way_out: str = ""


_CODES = (
    Code("U01", "not_gzip", "unit", "No gzip: the magic bytes are missing.",
         "quarantine the unit", "Download it again, or compress it where it is the text itself."),
    Code("U02", "html_page", "unit", "A web page, not a unit: an error page of the server.",
         "quarantine the unit", "Download it again."),
    Code("U03", "empty", "unit", "No bytes at all, or none inside the gzip.",
         "quarantine the unit", "Download it again."),
    Code("U04", "gz_truncated", "unit", "The gzip ends before its end.",
         "keep nothing; with `salvage` keep the whole rows before the end, and call it partial",
         "Download it again, or read it with `salvage: true`."),
    Code("U05", "gz_corrupt", "unit", "The gzip is damaged: it cannot be inflated, or its checksum "
         "is wrong.",
         "keep nothing; with `salvage` keep the whole rows before the damage, and call it partial",
         "Download it again, or read it with `salvage: true`."),
    Code("U06", "trailing_garbage", "warning", "Bytes that are no gzip stand behind the gzip.",
         "keep all rows and tell"),
    Code("U07", "no_metadata", "unit", "Line 1 is the header: the line of metadata is missing.",
         "quarantine the unit", "State it: `assume_metadata: [Species=human, Chain=Heavy]`."),
    Code("U08", "metadata_bad_json", "unit", "Line 1 is neither a header nor JSON.",
         "quarantine the unit", "Mend line 1, or download the unit again."),
    Code("U09", "metadata_missing_key", "warning", "Line 1 says nothing of Species or Chain.",
         "null, and tell"),
    Code("U10", "header_missing_columns", "unit", "The header lacks columns that are asked for.",
         "quarantine the unit", "Ask for the columns that it has: `columns: [...]`."),
    Code("U11", "unknown_schema", "unit", "The header is of no known vintage, or of the other "
         "layout (paired, unpaired).",
         "quarantine the unit", "Read paired units with `layout: paired`."),
    Code("U12", "duplicate_columns", "unit", "A column stands in the header twice.",
         "quarantine the unit", "Mend the header."),
    Code("U13", "legacy_json_format", "unit", "A unit of before 2021: lines of JSON, no table.",
         "quarantine the unit", "Download the unit again: the site has it as CSV."),
    Code("U14", "row_count_mismatch", "warning", 'The unit has not as many rows as its line 1 says '
         '("Unique sequences").',
         "keep all rows and tell both numbers"),
    Code("U15", "duplicate_unit", "warning", "Another unit has the same file name, or the "
         "same content.",
         "keep both and tell; where a file took the place of one of an earlier run, tell that"),
    Code("U16", "chain_mismatch", "warning", "Rows have a locus that is not of the chain that "
         "line 1 says.",
         "tell; `standardise` sets such rows aside (R06)"),
    Code("U17", "line_too_long", "unit", "A line so long that this is no table.",
         "quarantine the unit", "Download it again."),
    Code("U18", "unreadable", "unit", "A link that leads nowhere, or a file or folder that may not "
         "be read.",
         "quarantine the unit", "Mend the link or the permission: the same command reads it then."),
    Code("R01", "field_count", "row", "A row has more or fewer fields than the header.",
         "quarantine the row"),
    Code("R02", "quote", "row", "A quote stands where none may, or is never closed.",
         "quarantine the row"),
    Code("R03", "encoding", "row", "A value that is asked for is not UTF-8.",
         "quarantine the row"),
    Code("R04", "nul_byte", "row", "A NUL byte.", "quarantine the row"),
    Code("R05", "cast", "row", "A value is not of its column's type.",
         "quarantine the row where the column is required, else null and count"),
    Code("R06", "domain", "row", "A value that its column does not allow: a flag that is not T or "
         "F, a locus that is not H, K or L, a Redundancy below 1.",
         "quarantine the row where the column is required, else null and count"),
    Code("R07", "non_integral", "row", "A whole number with a fraction.",
         "quarantine the row where the column is required, else null and count"),
    Code("R08", "anarci_numbering_unparsable", "row", "The numbering is no dictionary of ANARCI's.",
         "null and count"),
    Code("R09", "anarci_status_unknown", "row", "A clause of the status that is not known.",
         "keep it as text and count"),
    Code("R10", "region_concat", "row", "The regions joined are not the sequence.",
         "flag and count"),
    Code("S01", "disk_full", "run", "The disk is full.", "stop in order",
         "Make room, and run the same command again: it goes on."),
    Code("S02", "worker_oom", "run", "A worker was killed: out of memory.",
         "try again, twice, with half the rows a batch; then give the unit up",
         "Give it more `--memory`, or fewer workers."),
    Code("S03", "step_exception", "run", "A step raised an error on a batch.",
         "try again, twice; then give the unit up", "The message names unit, step and error."),
)  # fmt: skip

CODES: dict[str, Code] = {code.code: code for code in _CODES}
"""Every code by its name: "U04", "R01"."""


def explained(code: str, particulars: str) -> str:
    """What is wrong, the particulars of the case, and the way out, as one message.

    >>> explained("U03", "0 bytes.")
    'U03 empty: No bytes at all, or none inside the gzip. 0 bytes. Download it again.'
    """
    known = CODES[code]
    parts = (f"{code} {known.name}:", known.meaning, particulars, known.way_out)
    return " ".join(part for part in parts if part)
