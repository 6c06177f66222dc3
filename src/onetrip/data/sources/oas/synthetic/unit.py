"""One synthetic unit: its line of metadata, its header and its rows, gzipped."""

import gzip
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.sources.oas.columns import PAIRED, PAIRED_2021, UNPAIRED
from onetrip.data.sources.oas.synthetic.chain import draw_chain
from onetrip.data.sources.oas.synthetic.templates import Templates, draw_redundancy

SCHEMAS = {"unpaired": UNPAIRED, "paired": PAIRED, "paired-2021": PAIRED_2021}
BLOCK_ROWS = 2048
TEMPLATES = 256
ROWS_PER_CLONE = 4


def write_unit(
    path: Path,
    rows: int,
    *,
    seed: int = 0,
    schema: str = "unpaired",
    metadata: Mapping[str, object] | None = None,
    templates: int = TEMPLATES,
) -> None:
    """Write a unit of synthetic rows: same arguments, same bytes.

    Parameters
    ----------
    path : where; its folder exists.
    rows : how many.
    seed : of everything drawn.
    schema : "unpaired", "paired" or "paired-2021".
    metadata : replaces entries of line 1; None takes an entry out.
    templates : chains that the rows are mutants of: the clones of the repertoire.
    """
    with path.open("wb") as raw, gzip_into(raw) as file:
        for part in unit_parts(
            rows, seed=seed, schema=schema, metadata=metadata, templates=templates
        ):
            file.write(part)


def unit_parts(
    rows: int,
    *,
    seed: int = 0,
    schema: str = "unpaired",
    metadata: Mapping[str, object] | None = None,
    templates: int = TEMPLATES,
) -> Iterator[bytes]:
    """The unit's text in parts: both lines above the rows first, then blocks of whole rows."""
    if schema not in SCHEMAS:
        raise ArgumentError(complaint("schema", expected=f"one of {list(SCHEMAS)}", got=schema))
    columns, rng = SCHEMAS[schema], np.random.default_rng(seed)
    redundancy = draw_redundancy(rows, rng)
    facts = _facts(rows, int(redundancy.sum()), schema, rng) | dict(metadata or {})
    line = metadata_line({key: value for key, value in facts.items() if value is not None})
    yield line + ",".join(columns).encode() + b"\n"
    if rows == 0:
        return
    chain, isotype = str(facts.get("Chain")), str(facts.get("Isotype"))
    many = min(templates, 1 + rows // ROWS_PER_CLONE)
    laid_out = Templates(columns, [_chains(schema, chain, isotype, rng) for _ in range(many)])
    for start in range(0, rows, BLOCK_ROWS):
        yield laid_out.block(redundancy[start : start + BLOCK_ROWS], rng)


def metadata_line(facts: Mapping[str, object]) -> bytes:
    """Line 1: the JSON as one quoted field of a CSV."""
    return ('"' + json.dumps(facts).replace('"', '""') + '"\n').encode()


def gzip_into(file: BinaryIO) -> gzip.GzipFile:
    """Compress into `file`, without name or time in the header; isal where it is installed."""
    try:
        igzip = importlib.import_module("isal.igzip")
    except ModuleNotFoundError:
        return gzip.GzipFile("", "wb", 1, file, mtime=0)
    return igzip.IGzipFile("", "wb", 1, file, mtime=0)


def _chains(schema: str, chain: str, isotype: str, rng: np.random.Generator) -> dict:
    light = "K" if rng.random() < 0.6 else "L"
    if schema == "unpaired":
        return {"": draw_chain("H" if chain == "Heavy" else light, rng)}
    return {
        "_heavy": draw_chain("H", rng, isotype="IGHG"),
        "_light": draw_chain(light, rng, isotype=f"IG{light}C"),
    }


def _facts(rows: int, total: int, schema: str, rng: np.random.Generator) -> dict[str, object]:
    run = f"SYN{int(rng.integers(10**6, 10**7))}"
    paired = schema != "unpaired"
    facts: dict[str, object] = {
        "Run": run,
        "Link": "https://example.org/synthetic",
        "Author": "Alder et al., 2019",
        "Species": "human",
        "BSource": "PBMC",
        "BType": "Unsorted-B-Cells",
        "Longitudinal": "no",
        "Age": "29",
        "Disease": "no",
        "Subject": f"Donor-{int(rng.integers(1, 9))}",
        "Vaccine": "no",
        "Chain": "Paired" if paired else "Heavy",
        "Unique sequences": rows,
        "Isotype": "All" if paired else "IGHG",
    }
    return facts if paired else facts | {"Total sequences": total}
