"""The same job in many engines: one OAS unit, 18 columns as text, into Parquet with zstd.

Each is written as its documentation suggests for files of this kind. `data_bars.py` runs one a
process.
"""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from onetrip.data.sources.oas.columns import UNPAIRED
from onetrip.data.sources.oas.synthetic.defects import DEFECTS, Text, unit_text

COLUMNS = (
    *("sequence", "locus", "stop_codon", "vj_in_frame", "productive", "v_call", "d_call"),
    *("j_call", "sequence_alignment_aa", "v_germline_alignment_aa", "fwr1_aa", "fwr4_aa"),
    *("cdr3_aa", "junction_aa", "v_identity", "Redundancy", "ANARCI_numbering", "ANARCI_status"),
)
# What a run that was killed costs when the same command is given again.
RESUMES = {"onetrip": "goes on", "onetrip, inline": "goes on"}
# Where metadata is lost and no row, and where there is no row to lose.
_NO_LOSS = frozenset({"bad_json", "not_gzip"})
_LOSS_ROWS, _SPOILT_ROW = 400, 137


def onetrip(unit: Path, output: Path, executor: str = "local") -> None:
    """The engine with one worker: rejects, digests and a manifest included."""
    from onetrip.data.engine.run import run

    recipe, anything = {"source": {"oas": {"columns": list(COLUMNS)}}}, "100%"
    run(
        recipe,
        unit,
        output,
        workers=1,
        executor=executor,
        max_bad_rows=anything,
        max_bad_units=anything,
    )


def onetrip_inline(unit: Path, output: Path) -> None:
    """The engine in this very process, as peers run: no worker to start, none to lose."""
    from onetrip.data.engine.executors.without_pandas import leave_pandas_out

    # What a worker does: this program hands Arrow nothing of pandas either.
    leave_pandas_out()
    onetrip(unit, output, "inline")


def polars(unit: Path, output: Path) -> None:
    """A lazy scan with a schema, streamed into a file."""
    import polars as pl

    schema = {name: pl.String for name in UNPAIRED}
    frame = pl.scan_csv(unit, skip_lines=1, schema=schema).select(COLUMNS)
    frame.sink_parquet(_file(output), compression="zstd")


def polars_lenient(unit: Path, output: Path) -> None:
    """The same with the options that keep it going over bad rows."""
    import polars as pl

    frame = pl.scan_csv(
        unit,
        skip_lines=1,
        schema={name: pl.String for name in UNPAIRED},
        ignore_errors=True,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
    ).select(COLUMNS)
    frame.sink_parquet(_file(output), compression="zstd")


def pyarrow(unit: Path, output: Path) -> None:
    """Its streaming reader with threads."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    reader = pyarrow.csv.open_csv(
        pa.CompressedInputStream(pa.OSFile(str(unit)), "gzip"),
        pyarrow.csv.ReadOptions(skip_rows=1, block_size=4 << 20),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(COLUMNS), column_types=dict.fromkeys(UNPAIRED, pa.string())
        ),
    )
    with pq.ParquetWriter(_file(output), reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def duckdb(unit: Path, output: Path) -> None:
    """COPY from read_csv with every column named."""
    duck = importlib.import_module("duckdb")
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in UNPAIRED)
    duck.sql(
        f"COPY (SELECT {', '.join(COLUMNS)} FROM read_csv('{unit}', skip=2, header=false, "
        f"auto_detect=false, delim=',', quote='\"', columns={{{columns}}})) "
        f"TO '{_file(output)}' (FORMAT parquet, COMPRESSION zstd)"
    )


def pandas_chunks(unit: Path, output: Path) -> None:
    """read_csv in chunks of 20,000 rows."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    chunks = pd.read_csv(unit, skiprows=1, usecols=list(COLUMNS), dtype=str, chunksize=20_000)
    with pq.ParquetWriter(_file(output), schema, compression="zstd") as writer:
        for chunk in chunks:
            table = pa.Table.from_pandas(chunk[list(COLUMNS)], schema, preserve_index=False)
            writer.write_table(table)


def hf_csv(unit: Path, output: Path) -> None:
    """Hugging Face's load_dataset("csv"), then to_parquet."""
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    data = datasets.load_dataset(
        "csv",
        data_files=str(unit),
        skiprows=1,
        usecols=list(COLUMNS),
        features=datasets.Features({name: datasets.Value("string") for name in COLUMNS}),
        cache_dir=str(output / "cache"),
        split="train",
    )
    data.to_parquet(_file(output))


def hf_generator(unit: Path, output: Path) -> None:
    """Hugging Face's Dataset.from_generator over csv.DictReader."""
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_generator(
        _dictionaries, gen_kwargs={"unit": unit}, cache_dir=str(output / "cache")
    )
    data.to_parquet(_file(output))


def _dictionaries(unit: Path) -> Iterator[dict[str, str]]:
    import csv
    import gzip

    with gzip.open(unit, "rt", newline="") as file:
        next(file)
        for row in csv.DictReader(file):
            yield {name: row[name] for name in COLUMNS}


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "onetrip": onetrip,
    "onetrip, inline": onetrip_inline,
    "polars": polars,
    "polars, lenient": polars_lenient,
    "pyarrow": pyarrow,
    "duckdb": duckdb,
    "pandas chunks": pandas_chunks,
    "datasets, csv": hf_csv,
    "datasets, generator": hf_generator,
}


def losses(name: str, folder: Path) -> dict[str, list[str]]:
    """What a contender makes of each defect: every good row, an error, or a silent change."""
    text = unit_text(_LOSS_ROWS, 0)
    found: dict[str, list[str]] = {"right": [], "refused": [], "silent": []}
    for defect in DEFECTS.values():
        # Faults of a value, and remarks that cost no row, are nobody's to lose rows by.
        if defect.code in {"R05", "U09", "U14", "U16"} or defect.name in _NO_LOSS:
            continue
        output = folder / f"{name}-{defect.name}"
        unit = folder / f"{defect.name}.csv.gz"
        unit.write_bytes(defect.spoil(text, _SPOILT_ROW))
        try:
            CONTENDERS[name](unit, output)
        except Exception as error:
            print(f"{name} {defect.name}: {type(error).__name__}", file=sys.stderr)
            verdict = "refused"
        else:
            verdict = _judged(name, output, text, defect.lost)
        found[verdict].append(defect.name)
    return found


def _judged(name: str, output: Path, text: Text, lost: int | None) -> str:
    sequences = _sequences(output)
    if lost is None:
        # No row may come of such a unit; the engine says why in its quarantine.
        return "right" if not sequences and name in RESUMES else "silent"
    good = [row.split(b",", 1)[0].decode() for row in text.rows]
    spared = good[:_SPOILT_ROW] + good[_SPOILT_ROW + 1 :]
    kept = [value for value in sequences if value in set(spared)]
    return "right" if kept == spared and len(sequences) == _LOSS_ROWS - lost else "silent"


def _sequences(output: Path) -> list[str]:
    import pyarrow.parquet as pq

    return [
        value
        for path in _files(output)
        for value in pq.read_table(path, columns=["sequence"])["sequence"].to_pylist()
    ]


def _files(output: Path) -> list[Path]:
    return [p for p in sorted(output.rglob("*.parquet")) if "quarantine" not in p.parts]


def _file(output: Path) -> str:
    output.mkdir(parents=True, exist_ok=True)
    return str(output / "unit.parquet")


def _main(name: str, place: Path, output: Path) -> None:
    if place.is_dir():
        print(json.dumps(losses(name, place)))
        return
    import pyarrow.parquet as pq

    CONTENDERS[name](place, output)
    print(json.dumps({"rows": sum(pq.read_metadata(path).num_rows for path in _files(output))}))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[-1]))
