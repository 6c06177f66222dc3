"""Every defect through a run: which rows come out, and what the quarantine says of each unit."""

import pytest

from onetrip.data.engine.run import run
from onetrip.data.sources.oas.synthetic.defects import DEFECTS
from onetrip.data.sources.oas.synthetic.folder import make_broken
from onetrip.data.store.dataset import open_finished
from onetrip.data.store.quarantine import entries

ROWS = 60
# What `standardise` sets aside of a unit that the reader kept whole.
SET_ASIDE = {"bad_number": (1, "R05"), "wrong_locus": (1, "R06"), "wrong_chain": (ROWS, "R06")}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with one unit for each defect, and what the run that read them said."""
    folder = tmp_path_factory.mktemp("broken")
    made = make_broken(folder / "units", list(DEFECTS))
    recipe = {"source": "oas", "steps": ["standardise"]}
    result = run(
        recipe,
        folder / "units",
        folder / "dataset",
        executor="inline",
        max_bad_rows="10%",
        max_bad_units="60%",
    )
    return made, result


def test_every_defect_costs_what_it_must(ran):
    made, result = ran
    found = {one.path: set() for one in made}
    rejected = dict.fromkeys(found, 0)
    for entry in entries(result.dataset):
        found[entry.unit_id].add(entry.code)
        rejected[entry.unit_id] += entry.line > 0 and entry.code.startswith("R")
    for one in made:
        defect = DEFECTS[one.defect]
        later, code = SET_ASIDE.get(one.defect, (0, ""))
        assert found[one.path] - {"U14"} == {defect.code, code} - {"", "U14"}, one
        assert rejected[one.path] == (defect.lost or 0) + later, one
    lost = sum(count for count, _ in SET_ASIDE.values())
    assert result.rows == sum(one.rows for one in made) - lost
    assert result.damage.bad_units == sum(defect.lost is None for defect in DEFECTS.values())
    assert result.exit_code == 3


def test_a_word_in_a_number_is_named_with_its_place(ran):
    made, result = ran
    (path,) = (one.path for one in made if one.defect == "bad_number")
    (entry,) = entries(result.dataset, unit=path)
    assert (entry.code, entry.column) == ("R05", "Redundancy")
    assert entry.message == "`Redundancy` must be a whole number of at least 1, got 'abc'."
    # The row that is missing is the one that the entry names.
    finished = open_finished(result.dataset)
    assert finished.accounts["standardise"].counts == {}
    assert f'"row_in_unit": {entry.line - 2}' in entry.raw
