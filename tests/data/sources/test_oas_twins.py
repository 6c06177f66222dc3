"""U15: a unit whose name or content another one has, in the input or in the run before."""

import shutil

import pytest

from onetrip.data.engine.progress import Plain
from onetrip.data.engine.run import run
from onetrip.data.sources.oas.synthetic.unit import write_unit
from onetrip.data.store.dataset import open_finished
from onetrip.data.store.quarantine import entries, groups


def unit(path, rows=20, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_unit(path, rows, seed=seed)
    return path


def read(folder, dataset, **options):
    return run({"source": "oas"}, folder, dataset, executor="inline", **options)


def told(dataset):
    return [(one.unit_id, one.message.partition("content. ")[2]) for one in entries(dataset)]


@pytest.fixture
def studies(tmp_path):
    unit(tmp_path / "in" / "A_2019" / "x.csv.gz")
    return tmp_path / "in"


def test_a_name_in_two_studies_is_told_of_both_and_both_stay(studies, tmp_path):
    unit(studies / "B_2020" / "x.csv.gz", rows=30, seed=1)
    result = read(studies, tmp_path / "out")
    assert (result.rows, result.exit_code) == (50, 0)
    both = ["A_2019/x.csv.gz", "B_2020/x.csv.gz"]
    assert told(result.dataset) == [(both[0], f"Also: {both[1]}."), (both[1], f"Also: {both[0]}.")]
    assert [(one.code, one.entries) for one in groups(result.dataset)] == [("U15", 2)]


def test_the_same_content_under_another_name_is_told(studies, tmp_path):
    shutil.copy(studies / "A_2019" / "x.csv.gz", unit(studies / "B_2020" / "y.csv.gz"))
    unit(studies / "C_2021" / "z.csv.gz", seed=2)
    result = read(studies, tmp_path / "out")
    assert told(result.dataset) == [
        ("A_2019/x.csv.gz", "Also: B_2020/y.csv.gz."),
        ("B_2020/y.csv.gz", "Also: A_2019/x.csv.gz."),
    ]


def test_a_unit_that_comes_later_is_told_of_the_one_that_was_there_too(studies, tmp_path):
    assert told(read(studies, tmp_path / "out").dataset) == []
    unit(studies / "B_2020" / "x.csv.gz", seed=1)
    result = read(studies, tmp_path / "out")
    assert [unit_id for unit_id, _ in told(result.dataset)] == [
        "A_2019/x.csv.gz",
        "B_2020/x.csv.gz",
    ]
    # It stands in what an export counts, and a run that does nothing says it again.
    assert open_finished(result.dataset).quarantine[0].name == "listing.parquet"
    assert len(told(read(studies, tmp_path / "out").dataset)) == 2
    (studies / "B_2020" / "x.csv.gz").unlink()
    assert told(read(studies, tmp_path / "out").dataset) == []


def test_another_file_under_a_name_that_the_dataset_had_is_told(studies, tmp_path, capsys):
    read(studies, tmp_path / "out")
    elsewhere = unit(tmp_path / "more" / "B_2020" / "x.csv.gz", rows=30, seed=1).parents[1]
    result = read(elsewhere, tmp_path / "out", progress=Plain())
    assert result.rows == 30
    says = "Before, the dataset had another file as A_2019/x.csv.gz: its rows are replaced."
    assert told(result.dataset) == [("B_2020/x.csv.gz", says)]
    assert says in capsys.readouterr().err


def test_a_changed_file_is_told_and_a_copied_or_moved_one_is_not(studies, tmp_path):
    read(studies, tmp_path / "out")
    path = studies / "A_2019" / "x.csv.gz"
    shutil.copyfile(path, copy := tmp_path / "copy.csv.gz")
    copy.replace(path)
    assert told(read(studies, tmp_path / "out").dataset) == []
    (studies / "A_2019").rename(studies / "Renamed_2019")
    assert told(read(studies, tmp_path / "out").dataset) == []
    unit(studies / "Renamed_2019" / "x.csv.gz", rows=21)
    ((_, says),) = told(read(studies, tmp_path / "out").dataset)
    assert "another file as Renamed_2019/x.csv.gz" in says


def test_a_unit_that_was_bad_is_replaced_without_a_word(studies, tmp_path):
    path = studies / "A_2019" / "x.csv.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert read(studies, tmp_path / "out", max_bad_units="100%").exit_code == 3
    path.write_bytes(whole)
    result = read(studies, tmp_path / "out")
    assert (result.rows, told(result.dataset)) == (20, [])
