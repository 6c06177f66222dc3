"""Measure what each antibody step does in a second of one core, beside the plain ways to do it.

    python tools/data_step_bars.py --save

One batch of synthetic rows of the real shape, through the steps in turn; contenders take turns,
the best round counts, in CPU seconds of the process. Peers get fewer rows: some take a while.
"""

import argparse
import ast
import io
import json
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from onetrip.bench.environment import environment
from onetrip.bench.results import append_results, results_path
from onetrip.data.registry import make
from onetrip.data.sources.oas.synthetic.unit import unit_parts
from onetrip.data.sources.source import Source
from onetrip.data.step import BatchStep
from onetrip.data.steps.antibody.derive import Derive
from onetrip.data.steps.antibody.parse_anarci import ParseAnarci
from onetrip.data.steps.antibody.published import PUBLISHED
from onetrip.data.steps.antibody.standardise import Standardise
from onetrip.data.steps.complexity import ComplexityStep
from onetrip.data.steps.filter import Filter

DEVICE = "cpu-2-cores"
PEER_ROWS = 2000


def real_shaped(rows: int) -> pa.RecordBatch:
    """Rows as the source yields them: default columns, all text."""
    lines = b"".join(unit_parts(rows)).split(b"\n", 1)[1]
    schema = make(Source, "oas", {}).schema()
    header = lines.partition(b"\n")[0].decode().split(",")
    options = pv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        include_columns=[name for name in schema.names if name in header],
    )
    read = pv.read_csv(io.BytesIO(lines), convert_options=options).combine_chunks()
    made = {name: read[name].chunk(0) for name in read.schema.names}
    words = {"unit_id": "unpaired/Alder_2019/a.csv.gz", "meta_chain": "Heavy"}
    for field in schema:
        if field.name == "row_in_unit":
            made[field.name] = pa.array(range(1, rows + 1), pa.int64())
        elif field.name not in made:
            made[field.name] = pa.array([words.get(field.name, "IGHG")] * rows)
    return pa.record_batch([made[name] for name in schema.names], schema=schema)


def no_two_alike(rows: int) -> pa.RecordBatch:
    """Statuses that differ in their positions: in synthetic rows they are few."""
    rng = np.random.default_rng(0)
    texts = [
        f"|Deletions: {', '.join(map(str, places))}||||"
        for places in rng.integers(1, 129, (rows, 5))
    ]
    return pa.record_batch({"anarci_status": texts})


def contenders(rows: int) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name -> how many rows one call works on, and the call."""
    found: dict[str, tuple[int, Callable[[], object]]] = {}
    batch = real_shaped(rows)

    def add(name: str, step: BatchStep, batch: pa.RecordBatch) -> pa.RecordBatch:
        found[name] = (rows, lambda: step.apply(batch))
        return step.apply(batch).batch

    standard = add("standardise", Standardise(), batch)
    parsed = add("parse_anarci", ParseAnarci(), standard)
    found["parse_anarci, no two alike"] = (rows, partial(ParseAnarci().apply, no_two_alike(rows)))
    add("parse_anarci, positions", ParseAnarci(positions=True), standard)
    for preset in PUBLISHED:
        add(f"filter, {preset}", Filter(preset=preset), parsed)
    add("derive", Derive(), parsed)
    add("complexity", ComplexityStep(), parsed)

    numbering = standard["anarci_numbering"][:PEER_ROWS].to_pylist()
    texts = [text.encode() for text in parsed["sequence_aa"][:PEER_ROWS].to_pylist()]
    rng = np.random.default_rng(0)
    order = [rng.permutation(len(text)).tolist() for text in texts]

    def by_zlib() -> None:
        for text, places in zip(texts, order, strict=True):
            zlib.compress(text)
            zlib.compress(bytes([text[place] for place in places]))

    found["numbering by json"] = (
        PEER_ROWS,
        lambda: [json.loads(text.replace("'", '"')) for text in numbering],
    )
    found["numbering by ast"] = (PEER_ROWS, lambda: [ast.literal_eval(text) for text in numbering])
    found["complexity by zlib, shuffled too"] = (PEER_ROWS, by_zlib)
    return found


def main() -> None:
    """Measure in turns, print a table, and keep the lines with --save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="append to results/")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    best: dict[str, float] = {}
    jobs = contenders(options.rows)
    for _ in range(options.rounds):
        for name, (rows, call) in jobs.items():
            started = time.process_time()
            call()
            rate = rows / (time.process_time() - started)
            best[name] = max(best.get(name, 0.0), rate)
    for name, rate in best.items():
        print(f"{name:36} {rate:12,.0f} rows a CPU second")
    if options.save:
        command = " ".join(["python", "tools/data_step_bars.py", *sys.argv[1:]])
        around = {"bar": "steps", "command": command, "environment": environment("cpu")}
        lines = [
            {"contender": name, "rows_per_cpu_s": round(rate), **around}
            for name, rate in best.items()
        ]
        root = Path(__file__).resolve().parent.parent / "results"
        append_results(results_path("data", DEVICE, root), lines)


if __name__ == "__main__":
    main()
