"""Units of the shape of the real ones, for every test of `onetrip.data`."""

import pytest

from onetrip.data.sources.oas.synthetic.unit import write_unit

# Path below the folder, rows, schema, what line 1 says otherwise than by default.
UNITS = (
    ("unpaired/Alder_2019/SYN100_Heavy_IGHG.csv.gz", 200, "unpaired", {}),
    (
        "unpaired/Alder_2019/SYN100_Heavy_IGHM.csv.gz",
        60,
        "unpaired",
        {"Isotype": "IGHM", "Age": 45, "Run": 100, "Disease": "None"},
    ),
    (
        "unpaired/Birch_2021/SYN200_1_Light_Bulk.csv.gz",
        50,
        "unpaired",
        {
            "Author": "Birch et al., 2021",
            "Chain": "Light",
            "Isotype": "Bulk",
            "Species": "mouse_C57BL/6",
            "Age": "22\N{EN DASH}70",
        },
    ),
    ("unpaired/Birch_2021/SYN201_1_Heavy_IGHE.csv.gz", 3, "unpaired", {"Isotype": "IGHE"}),
    ("paired/Cedar_2023/SYN300_1_Paired_All.csv.gz", 40, "paired", {}),
    ("paired/Cedar_2020/SYN301_paired.csv.gz", 30, "paired-2021", {}),
)


@pytest.fixture(scope="session")
def oas_folder(tmp_path_factory):
    """A folder of small units as OPIG lays them out; 313 rows unpaired, 70 paired. Read only."""
    folder = tmp_path_factory.mktemp("oas")
    for seed, (name, rows, schema, metadata) in enumerate(UNITS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_unit(path, rows, seed=seed, schema=schema, metadata=metadata)
    return folder
