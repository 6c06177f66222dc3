"""The reader in its parts: line 1, header, chunks, resuming; and no row is lost untold."""

import csv
import io
import random
import string
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.sources.oas import inflate, lines, rows
from onetrip.data.sources.oas.careful import read_carefully
from onetrip.data.sources.oas.columns import PAIRED, PAIRED_2021, UNPAIRED, wanted_columns
from onetrip.data.sources.oas.lines import Lines
from onetrip.data.sources.oas.metadata import parse_metadata
from onetrip.data.sources.oas.rows import RowParser
from onetrip.data.sources.oas.source import Oas
from onetrip.data.sources.oas.synthetic.defects import compress, unit_text
from onetrip.data.sources.source import UnitError

NAMES = ("a", "b", "c")
# What a fuzzer would try first: delimiters, quotes, line ends, NUL, bytes that are no UTF-8.
NASTY = st.lists(
    st.sampled_from(
        [b"a", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"x y",
         b"1,2,3\n", b'"q,r",s,t\n', b"\xc3\xa9"]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parsed(text, names=NAMES, wanted=NAMES, block=7):
    """All rows and rejects of a text that comes in blocks."""
    blocks = (text[at : at + block] for at in range(0, len(text), block))
    source, parser = Lines(iter(blocks)), RowParser("unit", names, wanted)
    values, places, rejects, blank, line = [], [], [], 0, 0

    def enter(got):
        nonlocal values, places, rejects, blank, line
        line += got.lines_taken
        values += zip(*(column.to_pylist() for column in got.columns), strict=True)
        places += got.lines.tolist()
        rejects += got.rejects
        blank += got.blank_lines

    for chunk in source.chunks():
        enter(parser.parse(chunk, parser.plain(chunk), line + 1))
        source.reuse(chunk)
    if rest := parser.finish(line + 1):
        enter(rest)
    return values, places, rejects, blank, line


@FEW
@given(NASTY, st.integers(1, 50))
def test_every_line_is_a_row_a_reject_or_blank(text, block):
    values, places, rejects, blank, line = parsed(text, block=block)
    count = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    assert line == count
    # A row may span lines, whether it is kept or not.
    texts = [value for row in values for value in row] + [reject.raw for reject in rejects]
    breaks_inside = sum(text.count("\n") for text in texts)
    assert len(values) + len(rejects) + blank + breaks_inside == count
    assert sorted(places) == places
    assert {reject.code for reject in rejects} <= {"R01", "R02", "R03", "R04"}


@FEW
@given(NASTY, st.integers(1, 50))
def test_chunks_and_blocks_change_nothing(text, block):
    """The careful way over the whole text is the truth."""
    truth = read_carefully(text, NAMES, NAMES, 1, last=True)
    values, places, rejects, blank, _ = parsed(text, block=block)
    assert list(zip(places, map(list, values), strict=True)) == truth.rows
    assert [(r.line, r.code) for r in rejects] == [fault[:2] for fault in truth.faults]
    assert blank == truth.blank_lines


@FEW
@given(
    st.lists(
        st.lists(st.text(string.printable + "é∂", max_size=8), min_size=3, max_size=3), max_size=8
    )
)
def test_what_csv_writes_is_read_back(table):
    table = [row for row in table if any(row)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in table:
        writer.writerow([value.replace("\0", "") for value in row])
    values, _, rejects, _, _ = parsed(text.getvalue().encode())
    assert rejects == []
    assert [list(row) for row in values] == table


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_raise_anything_but_a_unit_error(tmp_path_factory, data, zipped):
    path = tmp_path_factory.mktemp("fuzz") / "unit.csv.gz"
    path.write_bytes(compress(data) if zipped else data)
    for salvage in (False, True):
        source = Oas(salvage=salvage)
        with pytest.raises(UnitError) as caught:
            for _ in source.read(source.find(path)[0]):
                pass
        assert caught.value.code.startswith("U")


@pytest.fixture(scope="module")
def whole_unit():
    return unit_text(60, 3).compressed()


@settings(max_examples=30, deadline=None)
@given(place=st.floats(0, 1), change=st.integers(1, 255), cut=st.booleans(), salvage=st.booleans())
def test_a_damaged_unit_never_ends_well(tmp_path_factory, whole_unit, place, change, cut, salvage):
    """A byte changed, or the end missing: it is told; what is salvaged is told to be a part."""
    at = min(int(place * len(whole_unit)), len(whole_unit) - 1)
    damaged = bytearray(whole_unit[:at] if cut else whole_unit)
    if not cut:
        damaged[at] ^= change
    path = tmp_path_factory.mktemp("fuzz") / "unit.csv.gz"
    path.write_bytes(damaged)
    source, kept = Oas(salvage=salvage), 0
    # Flags, time and system in the header of a gzip say nothing of its content.
    harmless = not cut and (3 <= at <= 9)
    error: Any = None
    try:
        for got in source.read(source.find(path)[0]):
            kept += got.batch.num_rows
    except UnitError as caught:
        error = caught
    if error is None:
        assert harmless
        assert kept == 60
    else:
        assert error.code in {"U01", "U03", "U04", "U05"}
        assert salvage or not error.salvaged


@pytest.mark.parametrize("skipped", [0, 1, 17, 59, 60])
def test_reading_goes_on_behind_a_line(skipped, tmp_path, whole_unit):
    path = tmp_path / "unit.csv.gz"
    path.write_bytes(whole_unit)
    source = Oas(columns=("sequence",))
    (unit,) = source.find(path)
    everything = [row for got in source.read(unit) for row in got.batch.to_pylist()]
    skip_lines = skipped + 2 if skipped else 0
    reads = list(source.read(unit, skip_lines=skip_lines, skip_rows=skipped))
    assert [row for got in reads for row in got.batch.to_pylist()] == everything[skipped:]
    assert [reject for got in reads for reject in got.rejects] == []
    assert not skipped or not reads or reads[-1].lines == 62


def test_small_chunks_make_many_reads_of_the_same_rows(monkeypatch, tmp_path, whole_unit):
    path = tmp_path / "unit.csv.gz"
    path.write_bytes(whole_unit)
    source = Oas()
    (unit,) = source.find(path)
    whole = pa.Table.from_batches(got.batch for got in source.read(unit))
    monkeypatch.setattr(lines, "CHUNK_BYTES", 10_000)
    for module in (inflate, lines):
        monkeypatch.setattr(module, "BLOCK_BYTES", 3_000)
    monkeypatch.setattr(inflate, "READ_BYTES", 1_000)
    reads = list(source.read(unit))
    assert len(reads) > 10
    assert pa.Table.from_batches(got.batch for got in reads).combine_chunks() == (
        whole.combine_chunks()
    )
    assert [got.position for got in reads] == sorted(got.position for got in reads)


def test_the_standard_library_inflates_where_isal_is_missing(monkeypatch, tmp_path, whole_unit):
    import zlib

    path = tmp_path / "unit.csv.gz"
    monkeypatch.setattr(inflate, "inflater", lambda: zlib)
    for data in (whole_unit, whole_unit + b"x"):
        path.write_bytes(data)
        assert sum(got.batch.num_rows for got in Oas().read(Oas().find(path)[0])) == 60
    path.write_bytes(whole_unit[:-20])
    with pytest.raises(UnitError, match="U04"):
        list(Oas().read(Oas().find(path)[0]))


def test_plain_chunks_take_the_fast_way(monkeypatch, tmp_path, whole_unit):
    def refused(*arguments, **options):
        raise AssertionError("a plain unit was read row by row")

    monkeypatch.setattr(rows, "read_carefully", refused)
    path = tmp_path / "unit.csv.gz"
    path.write_bytes(whole_unit)
    source = Oas()
    assert sum(got.batch.num_rows for got in source.read(source.find(path)[0])) == 60


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b'"{""Run"": 1287203, ""Age"": 45, ""Species"": ""human""}"\n', ("1287203", "45")),
        (b'{"Run": "SRR1", "Age": "22\xe2\x80\x9370"}\r\n', ("SRR1", "22–70")),
        (b'\xef\xbb\xbf"{""Run"": ""a \\u00e9"", ""Age"": null}"', ("a é", None)),
    ],
)
def test_line_1_in_its_spellings(line, values):
    metadata = parse_metadata(line)
    assert (metadata.values["Run"], metadata.values["Age"]) == values


def test_organism_is_species_in_old_units():
    metadata = parse_metadata(b'"{""Organism"": ""rat"", ""Chain"": ""Heavy""}"\n')
    assert (metadata.values["Species"], metadata.missing) == ("rat", ())


def test_layouts_have_their_columns():
    assert (len(UNPAIRED), len(PAIRED), len(PAIRED_2021)) == (97, 198, 180)
    assert set(PAIRED_2021) < set(PAIRED)
    assert PAIRED_2021[-4:] == (
        "ANARCI_numbering_light",
        "ANARCI_numbering_heavy",
        "ANARCI_status_light",
        "ANARCI_status_heavy",
    )
    assert len(wanted_columns("default", "paired")) == 2 * len(
        wanted_columns("default", "unpaired")
    )


def test_vintages_of_pairs_have_one_schema(oas_folder):
    source = Oas()
    units = source.find(oas_folder / "paired")
    source = source.resolve(units)
    tables = [pa.Table.from_batches(got.batch for got in source.read(unit)) for unit in units]
    assert [table.num_rows for table in tables] == [30, 40]
    assert {table.schema for table in tables} == {source.schema()}
    old, new = tables
    assert old["Redundancy_heavy"].null_count == 30
    assert new["Redundancy_heavy"].null_count == 0
    assert set(old["locus_heavy"].to_pylist()) == {"H"}
    assert set(new["locus_light"].to_pylist()) <= {"K", "L"}


def test_wishes_are_checked(oas_folder):
    with pytest.raises(ArgumentError, match="There are sequence, locus"):
        Oas(columns=("tarot",))
    with pytest.raises(ArgumentError, match="Key=value"):
        Oas(assume_metadata=("human",))
    with pytest.raises(ArgumentError, match="holds both"):
        Oas().find(oas_folder)
    assert len(Oas(layout="paired").find(oas_folder)) == 2
    assert len(Oas(layout="unpaired").find(oas_folder)) == 4
    with pytest.raises(DataError, match=r"\*\.csv\.gz"):
        Oas().find(oas_folder / "unpaired" / "Alder_2019" / "none")


def test_synthetic_rows_agree_with_themselves(oas_folder):
    """Regions join to the sequence, nucleotides translate to it, the numbering spells it."""
    from onetrip.data.sources.oas.synthetic.genes import to_residues

    source = Oas(columns="all", layout="unpaired")
    regions = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "cdr3", "fwr4")
    seen = random.Random(0)
    for unit in source.find(oas_folder):
        table = [row for got in source.read(unit) for row in got.batch.to_pylist()]
        for row in seen.sample(table, min(20, len(table))):
            whole = row["sequence_alignment_aa"]
            assert "".join(row[f"{region}_aa"] for region in regions) == whole
            coding = row["sequence_alignment"]
            codons = tuple(coding[at : at + 3] for at in range(0, len(coding), 3))
            assert to_residues(codons) == whole
            assert coding in row["sequence"]
            spelt = row["ANARCI_numbering"].replace("'", "")
            assert [part[0] for part in spelt.split(": ")[2:] if part[0].isupper()]
            aligned, germline = row["v_sequence_alignment"], row["v_germline_alignment"]
            same = sum(a == b for a, b in zip(aligned, germline, strict=True)) / len(germline)
            assert float(row["v_identity"]) == pytest.approx(100 * same, abs=0.001)
