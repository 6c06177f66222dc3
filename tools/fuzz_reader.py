"""Fuzz the reader of OAS units, guided by coverage; what it finds becomes a test.

    pip install atheris==3.0.0
    python tools/fuzz_reader.py lines  FOLDER -max_total_time=3600
    python tools/fuzz_reader.py unit   FOLDER -max_total_time=3600

FOLDER keeps the inputs that reached new code, and is read at the start: a run goes on where the
last one ended. Options behind it are libFuzzer's. An input that fails is written beside FOLDER as
`crash-…`. What must hold:

- lines: rows, rejects and blank lines of a text in blocks are those of the careful parser, which
  goes character by character over the whole; and every line is one of the three.
- unit: any bytes as a file, zipped or not, are a unit, or an error with a code of its own.
"""

import gzip
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# A development tool only, which has no wheel for every Python.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["onetrip.data"]):
    from onetrip.data.sources.oas.careful import read_carefully
    from onetrip.data.sources.oas.lines import Lines
    from onetrip.data.sources.oas.rows import Parsed, RowParser
    from onetrip.data.sources.oas.source import Oas
    from onetrip.data.sources.oas.synthetic.defects import unit_text
    from onetrip.data.sources.source import UnitError

NAMES = ("a", "b", "c")
UNIT = gzip.decompress(unit_text(3, 1).compressed())
# libFuzzer mutates bytes; these are the pieces that a table is made of.
SEEDS = {
    "lines": (
        b'\x07one,two,three\n1,2,3\n"a,b",c,"d""e"\n',
        b'\x01x,y\n"open,1,2\n\r\n,,\n\xff,\xc3\xa9,\0\r\n',
    ),
    "unit": (b"\x00" + UNIT, b"\x01" + UNIT, b"\x02" + UNIT, b"\x01{}\n\n"),
}


class Broken(Exception):
    """Something that must hold does not."""


def hold(condition: bool, found: object) -> None:
    """Raise what libFuzzer takes for a finding."""
    if not condition:
        raise Broken(found)


def check_lines(data: bytes) -> None:
    """The reader by blocks against the careful parser."""
    block, text = 1 + data[:1][0] % 64 if data else 1, data[1:]
    truth = read_carefully(text, NAMES, NAMES, 1, last=True)
    source = Lines(text[at : at + block] for at in range(0, len(text), block))
    parser = RowParser("unit", NAMES, NAMES)
    rows, rejects, blank, line = [], [], 0, 0

    def parsed() -> Iterator[Parsed]:
        for chunk in source.chunks():
            yield parser.parse(chunk, parser.plain(chunk), line + 1)
            source.reuse(chunk)
        if rest := parser.finish(line + 1):
            yield rest

    for got in parsed():
        line += got.lines_taken
        values = zip(*(column.to_pylist() for column in got.columns), strict=True)
        rows += zip(got.lines.tolist(), map(list, values), strict=True)
        rejects += [(reject.line, reject.code) for reject in got.rejects]
        blank += got.blank_lines
    hold(rows == truth.rows, (rows, truth.rows))
    hold(rejects == [fault[:2] for fault in truth.faults], (rejects, truth.faults))
    hold(blank == truth.blank_lines, (blank, truth.blank_lines))
    count = text.count(b"\n") + (bool(text) and not text.endswith(b"\n"))
    # A row may span lines, whether it is kept or not.
    texts = [value for _, row in rows for value in row] + [fault[-1] for fault in truth.faults]
    inside = sum(text.count("\n" if isinstance(text, str) else b"\n") for text in texts)
    hold(line == count, (line, count))
    hold(len(rows) + len(rejects) + blank + inside == count, (rows, rejects, blank, count))


def check_unit(data: bytes) -> None:
    """Any bytes as a file: the first says whether they are zipped, and what is damaged."""
    kind, content = data[:1][0] % 4 if data else 0, data[1:]
    if kind:
        content = gzip.compress(content, 1, mtime=0)
    if kind == 2:
        content = content[: len(content) * 3 // 4]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "SYN1_Heavy_IGHM.csv.gz"
        path.write_bytes(content)
        for salvage in (False, True):
            source = Oas(salvage=salvage)
            try:
                for _ in source.read(source.find(path)[0]):
                    pass
            except UnitError as error:
                hold(error.code.startswith("U") and (salvage or not error.salvaged), error)


CHECKS: dict[str, Callable[[bytes], None]] = {"lines": check_lines, "unit": check_unit}


def main() -> None:
    """Fuzz until libFuzzer's limits."""
    if len(sys.argv) < 3 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    what, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[what]):
        (folder / f"seed-{number}").write_bytes(seed)
    options = [f"-artifact_prefix={folder.parent}/", *sys.argv[3:]]
    atheris.Setup([sys.argv[0], str(folder), *options], CHECKS[what])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
