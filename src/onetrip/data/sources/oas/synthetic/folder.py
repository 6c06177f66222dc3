"""A folder of synthetic units as OPIG lays them out, with the sizes of the real ones."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.sources.oas.synthetic.defects import DEFECTS, spoilt
from onetrip.data.sources.oas.synthetic.unit import write_unit
from onetrip.data.store.aside import full_disk_explained
from onetrip.data.store.writable import folder_to_write

# Rows of a unit at every twentieth of the 15,550 unpaired units that there were in 2025.
SIZE_QUANTILES = (
    *(1, 2, 4, 9, 19, 53, 122, 247, 477, 829, 1142, 2002, 3700, 7962, 16687, 30865),
    *(56494, 96033, 184729, 745793, 4499997),
)
_BROKEN_ROWS = 60
_TREES = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Rowan")
_SPECIES = (("human", 0.93), ("mouse_C57BL/6", 0.035), ("mouse_BALB/c", 0.02), ("rhesus", 0.015))
_ISOTYPES = ("Bulk", "IGHM", "IGHG", "IGHA", "IGHD", "IGHE")
_AGES = ("29", 45, "18-49", "no", "22\N{EN DASH}70", "<40", "9-Months")
_DISEASES = ("no", "None", "SARS-COV-2", "HIV", "CMV/EBV")
_UNITS_A_RUN, _RUNS_A_STUDY = 6, 2


@dataclass(frozen=True, slots=True)
class Made:
    """One unit of a fixture: path below the folder, rows, and the defect it has, if any."""

    path: str
    rows: int
    defect: str = ""
    code: str = ""


def make_fixture(
    folder: Path,
    *,
    rows: int,
    units: int,
    paired_units: int = 0,
    defects: Sequence[str] = (),
    seed: int = 0,
) -> list[Made]:
    """Write a fixture; same arguments, same bytes.

    Parameters
    ----------
    folder : made where it is missing; `fixture.json` in it says what is what.
    rows : of all whole unpaired units together.
    units : how many of these.
    paired_units : more units, of 200 pairs each, of both vintages in turn.
    defects : more units, one with each of these defects; "all" stands for every one.
    seed : of everything drawn.
    """
    for name, number, least in (("units", units, 1), ("paired-units", paired_units, 0)):
        if number < least:
            raise ArgumentError(complaint(name, expected=f"at least {least}", got=number))
    if rows < units:
        expected = f"at least one for each of {units} units"
        raise ArgumentError(complaint("rows", expected=expected, got=rows))
    broken = _named(defects)
    folder_to_write("folder", folder)
    with full_disk_explained(folder):
        made = [
            *_whole(folder, rows, units, seed),
            *_paired(folder, paired_units, seed),
            *make_broken(folder, broken, seed),
        ]
        (folder / "fixture.json").write_text(json.dumps([asdict(one) for one in made], indent=1))
    return made


def unit_sizes(rows: int, units: int, seed: int = 0) -> list[int]:
    """Rows of so many units: spread as the real ones are, scaled to a sum.

    >>> sizes = unit_sizes(10_000, 20)
    >>> sum(sizes), min(sizes) >= 1, max(sizes) > 5_000
    (10000, True, True)
    """
    share = (np.arange(units) + 0.5) / units
    known = np.linspace(0, 1, len(SIZE_QUANTILES))
    size = np.exp(np.interp(share, known, np.log(SIZE_QUANTILES)))
    scaled = np.maximum(1, size * (rows / size.sum())).astype(int)
    # What rounding took or gave, the largest unit bears.
    scaled[-1] += rows - scaled.sum()
    if scaled[-1] < 1:
        scaled = np.full(units, rows // units)
        scaled[-1] += rows - scaled.sum()
    return np.random.default_rng(seed).permutation(scaled).tolist()


def _whole(folder: Path, rows: int, units: int, seed: int) -> Iterator[Made]:
    rng = np.random.default_rng(seed)
    for number, size in enumerate(unit_sizes(rows, units, seed)):
        run, place = divmod(number, _UNITS_A_RUN)
        study = run // _RUNS_A_STUDY
        name = f"{_TREES[study % len(_TREES)]}_{2012 + study % 12}"
        light = run % _RUNS_A_STUDY == 1 and place == 0
        isotype = "Bulk" if light else _ISOTYPES[place % len(_ISOTYPES)]
        species = rng.choice([s for s, _ in _SPECIES], p=[p for _, p in _SPECIES])
        facts = {
            "Run": f"SYN{run:06}" if run % 2 else run + 1_000_000,
            "Author": f"{name.replace('_', ' et al., ')}",
            "Species": str(species),
            "Age": _AGES[run % len(_AGES)],
            "Disease": _DISEASES[int(rng.integers(len(_DISEASES)))],
            "Subject": f"Donor-{run % 5 + 1}" if run % 3 else "no",
            "Chain": "Light" if light else "Heavy",
            "Isotype": isotype,
        }
        file = f"SYN{run:06}_{'Light' if light else 'Heavy'}_{isotype}.csv.gz"
        path = f"unpaired/{name}/{file}"
        _into(folder, path)
        # Runs of one study share their germline and draws: the same clones come again.
        write_unit(folder / path, size, seed=seed + 1000 * study + number, metadata=facts)
        yield Made(path, size)


def _paired(folder: Path, units: int, seed: int) -> Iterator[Made]:
    for number in range(units):
        path = f"paired/Spruce_{2020 + number}/SYN9{number:05}_1_Paired_All.csv.gz"
        _into(folder, path)
        schema = "paired-2021" if number % 2 else "paired"
        write_unit(folder / path, 200, seed=seed + number, schema=schema)
        yield Made(path, 200)


def make_broken(folder: Path, names: Sequence[str], seed: int = 0) -> list[Made]:
    """Write one unit with each of these defects."""
    made = []
    for number, name in enumerate(names):
        defect = DEFECTS[name]
        path = f"unpaired/Willow_2024/SYN8{number:05}_{name.replace('_', '-')}_Heavy_Bulk.csv.gz"
        _into(folder, path)
        (folder / path).write_bytes(spoilt(name, _BROKEN_ROWS, seed + number))
        rows = 0 if defect.lost is None else _BROKEN_ROWS - defect.lost
        made.append(Made(path, rows, name, defect.code))
    return made


def _into(folder: Path, path: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)


def _named(defects: Sequence[str]) -> list[str]:
    if "all" in defects:
        return list(DEFECTS)
    unknown = [name for name in defects if name not in DEFECTS]
    if unknown:
        expected = f"all, or names of {', '.join(DEFECTS)}"
        raise ArgumentError(complaint("defects", expected=expected, got=unknown))
    return list(defects)
