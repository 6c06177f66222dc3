"""What is exported opens everywhere, holds every row once, and says how it came to be."""

import json

import pyarrow.parquet as pq
import pytest
import yaml

import onetrip.data
from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.engine.run import run
from onetrip.data.export import write
from onetrip.data.export.write import export

RECIPE = {
    "source": "csv",
    "steps": [
        {"filter": {"where": ["sequence_aa != EVQ"]}},
        {"dedup": {"keys": ["sequence_aa"]}},
        {"split": {"group": "donor", "val": 0.3, "test": 0.3}},
        "tokenise",
    ],
}
ROWS = 60


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Sixty rows, of which three are too short and seven are there twice, in splits by donor."""
    folder = tmp_path_factory.mktemp("export")
    sequences = [f"EVQL{'ACDEFGHIKL'[n % 10]}{'MNPQRSTVWY'[n // 10]}" for n in range(50)]
    sequences += sequences[:7] + ["EVQ"] * 3
    lines = [f"{sequence},donor{n % 9}" for n, sequence in enumerate(sequences)]
    units = folder / "units"
    units.mkdir()
    (units / "a b.csv").write_text("sequence_aa,donor_id\n" + "\n".join(lines) + "\n")
    run(RECIPE, units, folder / "dataset", workers=1)
    return folder / "dataset"


@pytest.fixture(scope="module")
def exported(dataset):
    return export(dataset, title="Sixty rows", license="cc-by-4.0")


def sequences_of(dataset):
    return sorted(
        text
        for path in (dataset / "stages").glob("*tokenise*/*.parquet")
        for text in pq.read_table(path)["sequence_aa"].to_pylist()
    )


def test_every_row_is_in_one_file_of_its_split(dataset, exported):
    found = []
    for file in exported.files:
        table = pq.read_table(exported.folder / file)
        assert set(table["split"].to_pylist()) == {file.removeprefix("data/").partition("-")[0]}
        found += table["sequence_aa"].to_pylist()
    assert len(found) == sum(exported.rows.values()) == 50
    assert set(exported.rows) == {"train", "val", "test"}
    assert sorted(found) == sequences_of(dataset)


def test_hugging_face_opens_it(exported, tmp_path):
    datasets = pytest.importorskip("datasets")
    opened = datasets.load_dataset(str(exported.folder), cache_dir=str(tmp_path))
    assert {split: rows.num_rows for split, rows in opened.items()} == exported.rows
    files = {split: f"{exported.folder}/data/{split}-*.parquet" for split in exported.rows}
    named = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert named["train"][0]["input_ids"] == opened["train"][0]["input_ids"]
    assert len(named["train"][0]["input_ids"]) == named["train"][0]["n_tokens"]


def test_polars_and_duckdb_open_it(exported):
    files = f"{exported.folder}/data/*.parquet"
    polars = pytest.importorskip("polars")
    frame = polars.scan_parquet(files).group_by("split").len().collect()
    assert dict(frame.rows()) == exported.rows
    duckdb = pytest.importorskip("duckdb")
    query = f"SELECT split, count(*) FROM read_parquet('{files}') GROUP BY split"
    assert dict(duckdb.sql(query).fetchall()) == exported.rows


def test_stream_opens_it(dataset, exported):
    for split, rows in exported.rows.items():
        batches = list(onetrip.data.stream(exported.folder, 8, split=split))
        assert sum(len(batch["input_ids"]) for batch in batches) == rows
    assert len(onetrip.data.stream(dataset, 1)) == 50
    with pytest.raises(DataError, match=r"`split` must be named .*: test, train, val, got None"):
        onetrip.data.stream(exported.folder, 8)
    assert len(onetrip.data.stream([exported.folder / file for file in exported.files], 1)) == 50
    with pytest.raises(DataError, match="holds all splits in the same files"):
        onetrip.data.stream(dataset, split="train")


def test_card_and_stats_hold_every_count(exported):
    stats = json.loads((exported.folder / "stats.json").read_text())
    assert stats["rows"] == exported.rows
    assert stats["steps"]["filter"]["dropped"] == {"sequence_aa != EVQ": 3}
    assert stats["steps"]["dedup"]["dropped"] == {"duplicate": 7}
    assert stats["recipe"]["steps"][2]["split"]["group"] == "donor"
    text = (exported.folder / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert [file["split"] for file in head["configs"][0]["data_files"]] == list(exported.rows)
    assert "| `dedup` | 57 | 50 | 0 | duplicate 7 |" in text
    for split, rows in exported.rows.items():
        assert f"| {split} | {rows} |" in text
    for version in stats["versions"].values():
        assert version in text


def test_a_later_export_replaces_an_earlier_one(dataset, tmp_path):
    first = export(dataset, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    second = export(dataset, tmp_path / "out", format="fasta")
    assert not any((tmp_path / "out" / file).exists() for file in first.files)
    assert all((tmp_path / "out" / file).exists() for file in second.files)
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_fasta_holds_every_sequence_under_its_place(dataset, tmp_path):
    made = export(dataset, tmp_path / "out", format="fasta")
    assert made.files == ("data/train.fasta", "data/val.fasta", "data/test.fasta")
    lines = [line for file in made.files for line in (made.folder / file).read_text().splitlines()]
    assert sorted(lines[1::2]) == sequences_of(dataset)
    assert len(set(lines[::2])) == 50
    assert {line.partition("|")[0] for line in lines[::2]} == {">a_b.csv"}


def test_columns_can_be_chosen(dataset, tmp_path):
    made = export(dataset, tmp_path / "out", columns=["input_ids"])
    assert pq.read_schema(made.folder / made.files[0]).names == ["input_ids"]
    assert sum(made.rows.values()) == 50


def test_wrong_use_is_refused(dataset, tmp_path):
    with pytest.raises(ArgumentError, match="`columns` must be some of"):
        export(dataset, tmp_path / "out", columns=["no"])
    with pytest.raises(ArgumentError, match="`format` must be parquet or fasta"):
        export(dataset, tmp_path / "out", format="csv")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="`target` must be a new folder"):
        export(dataset, tmp_path / "other")
    with pytest.raises(DataError, match="`dataset` must be a folder"):
        export(tmp_path)


def test_an_export_that_broke_off_begins_again(dataset, exported, tmp_path):
    export(dataset, tmp_path / "out")
    # What kill -9 leaves: rows, and nothing that says that they are all.
    (tmp_path / "out" / "stats.json").unlink()
    (tmp_path / "out" / ".export-begun").touch()
    (tmp_path / "out" / "data" / "train-00007.parquet").write_bytes(b"PAR1")
    again = export(dataset, tmp_path / "out")
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.*")) == [
        "README.md",
        *sorted(exported.files),
        "stats.json",
    ]
    assert again.rows == exported.rows


def test_a_second_export_into_the_same_folder_is_refused(dataset, tmp_path, monkeypatch):
    def meanwhile(*arguments, **keywords):
        with pytest.raises(DataError, match="Another export writes to"):
            export(dataset, tmp_path / "target")
        return card(*arguments, **keywords)

    card = write.dataset_card
    monkeypatch.setattr(write, "dataset_card", meanwhile)
    first = export(dataset, tmp_path / "target")
    monkeypatch.undo()
    assert sum(pq.read_table(first.folder / file).num_rows for file in first.files) == 50
    assert export(dataset, tmp_path / "target").files == first.files
    assert not (first.folder / ".export-begun").exists()
