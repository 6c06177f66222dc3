"""Plain files: rows and rejects with their place in the file, from any line on."""

import gzip
import json
import random
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onetrip.core.errors import DataError
from onetrip.data.engine.run import run
from onetrip.data.sources import files
from onetrip.data.sources.airr import Airr
from onetrip.data.sources.csv import Csv
from onetrip.data.sources.jsonl import Jsonl
from onetrip.data.sources.parquet import Parquet
from onetrip.data.sources.source import UnitError
from onetrip.data.store.quarantine import entries


def read(source, path, **skip):
    """Rows, and place and code of rejects."""
    units = source.find(path)
    source = source.resolve(units)
    rows, rejects, lines = [], [], 0
    for part in source.read(units[0], **skip):
        assert part.batch.schema.equals(source.schema())
        rows += part.batch.to_pylist()
        rejects += [(reject.line, reject.code) for reject in part.rejects]
        lines = part.lines
    return rows, rejects, lines


LINES = [
    b"id,n",
    b"a,1",
    b"",
    b"b,2,3",
    b'c,"4"',
    b'"d,5',
    b"e\xff,6",
    b"f\x00,7",
    b'"g ""x""",',
    b"h",
    b"i,9",
]
KEPT = [(1, "a", "1"), (4, "c", "4"), (8, 'g "x"', None), (10, "i", "9")]
REFUSED = [(4, "R01"), (6, "R02"), (7, "R03"), (8, "R04"), (10, "R01")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_rows_and_rejects_keep_their_places(tmp_path, end, compress):
    path = tmp_path / "a.csv"
    path.write_bytes(compress(end.join(LINES)))
    rows, rejects, lines = read(Csv(), path)
    assert [(row["row_in_unit"], row["id"], row["n"]) for row in rows] == KEPT
    assert sorted(rejects) == REFUSED
    assert lines == len(LINES)


@pytest.mark.parametrize("block", [7, 20, 1 << 20])
@pytest.mark.parametrize("skip", range(1, 11))
def test_reading_goes_on_behind_any_line(tmp_path, monkeypatch, block, skip):
    monkeypatch.setattr(files, "BLOCK_BYTES", block)
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    behind = sum(bool(line) for line in LINES[1:skip])
    rows, rejects, _ = read(Csv(columns=("n", "id")), path, skip_lines=skip, skip_rows=behind)
    found = [(row["row_in_unit"], row["id"], row["n"]) for row in rows]
    assert found == [row for row in KEPT if row[0] >= skip]
    assert sorted(rejects) == [reject for reject in REFUSED if reject[0] > skip]


def test_gzip_that_breaks_off_or_is_corrupt_is_told_apart(tmp_path):
    rng = random.Random(1)
    text = b"id,n\n" + b"".join(b"%d,%d\n" % (rng.getrandbits(60), n) for n in range(3000))
    whole = gzip.compress(text)
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 0xFF
    for name, data, code in (("cut", whole[:-30], "U04"), ("corrupt", bytes(spoilt), "U05")):
        path = tmp_path / f"{name}.csv.gz"
        path.write_bytes(data)
        with pytest.raises(UnitError) as caught:
            read(Csv(columns=("id", "n")), path)
        assert caught.value.code == code
    members = tmp_path / "members.csv.gz"
    members.write_bytes(whole + gzip.compress(b"last,1\n"))
    assert len(read(Csv(), members)[0]) == 3001
    assert zlib.crc32(text)


def test_unit_with_other_columns_is_set_aside(tmp_path):
    (tmp_path / "a.csv").write_text("n,id\n1,a\n")
    assert read(Csv(columns=("id",)), tmp_path / "a.csv")[0][0]["id"] == "a"
    with pytest.raises(UnitError, match=r"lacks the columns \['x'\]") as caught:
        read(Csv(columns=("x",)), tmp_path / "a.csv")
    assert caught.value.code == "U10"


def test_unit_with_a_column_twice_is_set_aside(tmp_path):
    (tmp_path / "a.csv").write_text("id,n,n\nx,1,2\n")
    with pytest.raises(UnitError, match=r"columns \['n'\] twice") as caught:
        read(Csv(columns=("id",)), tmp_path / "a.csv")
    assert caught.value.code == "U12"


def test_airr_tables_are_read_by_tabs(tmp_path):
    (tmp_path / "a.tsv").write_text("sequence_id\tv_call\ns1\tIGHV1-2*01,IGHV1-3*01\n")
    [row], rejects, _ = read(Airr(), tmp_path / "a.tsv")
    assert (row["v_call"], rejects) == ("IGHV1-2*01,IGHV1-3*01", [])


def test_json_lines_keep_values_as_text(tmp_path):
    lines = [{"id": "a", "n": 1}, {"id": None, "n": [1.5, "x"], "more": 3}, {"n": True}]
    text = "\n".join([*map(json.dumps, lines), "", "{", "[1]", '{"id": "z"}'])
    (tmp_path / "a.jsonl").write_text(text)
    rows, rejects, lines = read(Jsonl(), tmp_path / "a.jsonl")
    assert [(row["row_in_unit"], row["id"], row["n"]) for row in rows] == [
        (1, "a", "1"),
        (2, None, '[1.5, "x"]'),
        (3, None, "true"),
        (7, "z", None),
    ]
    assert rejects == [(5, "R01"), (6, "R01")]
    again = read(Jsonl(columns=("id", "n")), tmp_path / "a.jsonl", skip_lines=5, skip_rows=4)
    assert again == (rows[3:], rejects[1:], lines)


@pytest.mark.parametrize("source", ["csv", "airr", "jsonl"])
def test_rows_that_a_step_sets_aside_have_their_lines_in_the_file(source, tmp_path):
    lines = {
        "csv": ["word,n", "a,1", "x,2", "", "x,3"],
        "airr": ["word\tn", "a\t1", "x\t2", "", "x\t3"],
        "jsonl": ['{"word": "a"}', '{"word": "x"}', "", '{"word": "x"}'],
    }[source]
    path = tmp_path / "in"
    path.write_text("\n".join(lines))
    recipe = {"source": source, "steps": [{"toy_steps:Explosive": {"column": "word", "on": ["x"]}}]}
    result = run(recipe, path, tmp_path / "out", executor="inline", max_bad_rows="100%")
    assert result.rows == 1
    found = {(entry.line, entry.code) for entry in entries(tmp_path / "out")}
    assert found == {(number, "S03") for number, line in enumerate(lines, 1) if "x" in line}


def test_standardise_names_the_line_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("sequence_alignment_aa,locus\nEVQL,H\nEVQL,Q\n")
    recipe = {"source": "csv", "steps": ["standardise"]}
    run(recipe, tmp_path / "a.csv", tmp_path / "out", executor="inline", max_bad_rows="1")
    assert [(entry.line, entry.code) for entry in entries(tmp_path / "out")] == [(3, "R06")]


def test_parquet_keeps_types_and_goes_on_behind_any_row(tmp_path):
    table = pa.table({"n": pa.array([3, 4, 5], pa.uint16()), "word": ["a", None, "c"]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _, lines = read(Parquet(), tmp_path / "a.parquet")
    assert lines == 3
    assert [(row["row_in_unit"], row["n"], row["word"]) for row in rows] == [
        (1, 3, "a"),
        (2, 4, None),
        (3, 5, "c"),
    ]
    assert read(Parquet(), tmp_path / "a.parquet", skip_lines=2)[0] == rows[2:]
    with pytest.raises(DataError, match="parquet: columns"):
        read(Parquet(columns=("x",)), tmp_path / "a.parquet")


def test_one_dataset_is_the_input_of_another(folder, tmp_path, recipe_of, rows_of):
    first = run(recipe_of("toy_steps:Numbers"), folder, tmp_path / "one", executor="inline")
    stage = next((tmp_path / "one" / "stages").glob("01-*"))
    recipe = {"source": "parquet", "steps": [{"filter": {"where": ["n >= 100"]}}]}
    second = run(recipe, stage, tmp_path / "two", executor="inline")
    assert (first.rows, second.rows) == (120, 20)
    assert {row["unit_id"] for row in rows_of(tmp_path / "two")} == {"unit2.csv"}


def lines_of(name, *lines):
    return name, "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        (Csv(), lines_of("a.csv"), lines_of("b.csv", "id,n", "x,1")),
        (Csv(), lines_of("a.csv", "id,n,n", "x,1,2"), lines_of("b.csv", "id,n", "x,1")),
        (Airr(), lines_of("a.tsv"), lines_of("b.tsv", "id\tn", "x\t1")),
        (Jsonl(), lines_of("a.jsonl"), lines_of("b.jsonl", '{"id": "x", "n": 1}')),
        (Jsonl(), lines_of("a.jsonl", "[1]"), lines_of("b.jsonl", '{"id": "x", "n": 1}')),
    ],
)
def test_first_unit_that_cannot_be_read_is_one_bad_unit(source, first, second, tmp_path):
    for name, content in (first, second):
        (tmp_path / name).write_bytes(content)
    resolved = source.resolve(source.find(tmp_path))
    assert resolved.columns == ("id", "n")
    (tmp_path / second[0]).unlink()
    with pytest.raises(DataError, match=rf"at least one can be read, got 1, the first {first[0]}"):
        source.resolve(source.find(tmp_path))


def test_parquet_takes_its_types_from_the_first_that_can_be_read(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    pq.write_table(pa.table({"n": pa.array([1], pa.uint8())}), tmp_path / "b.parquet")
    result = run(
        {"source": "parquet"}, tmp_path, tmp_path / "out", executor="inline", max_bad_units="1"
    )
    assert (result.exit_code, result.rows, result.damage.bad_units) == (3, 1, 1)


def test_what_a_run_wrote_is_not_its_input(tmp_path):
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "a.parquet")
    for _ in range(2):
        result = run({"source": "parquet"}, tmp_path, tmp_path / "out", executor="inline")
        assert (result.rows, result.damage.units) == (2, 1)
    with pytest.raises(DataError, match="files that the output did not make"):
        run({"source": "parquet"}, tmp_path / "out", tmp_path / "out", executor="inline")


def test_hidden_files_are_no_units(tmp_path):
    (tmp_path / "a.csv").write_text("n\n1\n")
    # What a copy from another system leaves beside each file.
    (tmp_path / "._a.csv").write_bytes(b"\0\5\x16\7")
    assert [unit.unit_id for unit in Csv().find(tmp_path)] == ["a.csv"]


def test_unreadable_parquet_is_set_aside_alone(tmp_path):
    for name, kind in (("a", pa.int64()), ("b", pa.string())):
        table = pa.table({"n": pa.array([1], pa.int64()).cast(kind)})
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "in" / f"{name}.parquet")
    (tmp_path / "in" / "c.parquet").write_bytes(b"PAR1 and no more")
    result = run(
        {"source": "parquet"}, tmp_path / "in", tmp_path / "out", executor="inline",
        max_bad_units="2",
    )  # fmt: skip
    assert (result.exit_code, result.rows, result.damage.bad_units) == (3, 1, 2)
