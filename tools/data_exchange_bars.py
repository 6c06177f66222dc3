"""Measure what the exchange steps and the stream do on this machine.

    python tools/data_exchange_bars.py dedup --rows 50_000_000 --save
    python tools/data_exchange_bars.py tokenise --save
    python tools/data_exchange_bars.py stream --save

`dedup` is a whole run over rows made on the fly, with two workers within ``--memory``; the peak is
that of all its processes, sampled (proportional set size: what they share counts once). `tokenise`
and `stream` take the best of several rounds, in wall and in CPU seconds.
"""

import argparse
import itertools
import json
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.bench.environment import environment
from onetrip.data.sources.source import Read, Source, Unit

DEVICE = "cpu-2-cores"
_LETTERS = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWYAGLSVTEKQNGS", np.uint8)
_WORDS = 16
_BATCH_ROWS = 65_536
# Of the rows made, so many are distinct.
_DISTINCT = 0.6
# What a row would take in a compressed file; the engine reckons with four times as much in memory.
_ROW_BYTES = 40
_CHAINS_A_PACK = 4
# What a batch is like, which files it is made of, and what `stream` is told.
_FORMS: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("padded", "chains", {}),
    ("end to end", "chains", {"layout": "packed"}),
    ("of `pack`, with document ids", "packs", {"columns": ("input_ids", "document_ids")}),
)


def sequences(numbers: np.ndarray) -> pa.Array:
    """A text of 110 to 126 residues for each number: the same number, the same text."""
    counter = numbers[:, None].astype(np.uint64) * np.uint64(_WORDS)
    bits = counter + np.arange(_WORDS, dtype=np.uint64) + np.uint64(1)
    for multiplier, shift in ((0x9E3779B97F4A7C15, 30), (0xBF58476D1CE4E5B9, 27)):
        bits *= np.uint64(multiplier)
        bits ^= bits >> np.uint64(shift)
    letters = _LETTERS[bits.view(np.uint8).reshape(len(numbers), -1) & 31]
    lengths = 110 + (numbers % 17)
    kept = np.arange(letters.shape[1]) < lengths[:, None]
    offsets = np.zeros(len(numbers) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    text = pa.py_buffer(letters[kept])
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), text)


@dataclass(frozen=True)
class Generated(Source):
    """Rows made on the fly: `units` of `unit_rows`, drawn from 0.6 times as many texts."""

    units: int = 50
    unit_rows: int = 1_000_000

    name: ClassVar[str] = "generated"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "rows made on the fly"

    def find(self, location: Path) -> Sequence[Unit]:
        """Units that have a number in place of a file."""
        bytes = self.unit_rows * _ROW_BYTES
        return [Unit(f"{n:05}", location, bytes, f"{n}") for n in range(self.units)]

    def schema(self) -> pa.Schema:
        """What dedup reads."""
        return pa.schema(
            [
                ("unit_id", pa.string()),
                ("row_in_unit", pa.int64()),
                ("sequence_aa", pa.string()),
                ("locus", pa.string()),
                ("redundancy", pa.uint32()),
                ("donor_id", pa.string()),
            ]
        )

    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        """Batches of one unit; goes on behind `skip_rows`."""
        draw = np.random.default_rng(int(unit.unit_id))
        texts = int(self.units * self.unit_rows * _DISTINCT)
        numbers = draw.integers(0, texts, self.unit_rows)
        for at in range(skip_rows, self.unit_rows, _BATCH_ROWS):
            part = numbers[at : at + _BATCH_ROWS]
            rows = len(part)
            columns = [
                pa.array([unit.unit_id]).take(pa.array(np.zeros(rows, np.int8))),
                pa.array(np.arange(at + 1, at + rows + 1)),
                sequences(part),
                pa.array(["H"]).take(pa.array(np.zeros(rows, np.int8))),
                pa.array(np.ones(rows, np.uint32)),
                pa.array([f"donor{int(unit.unit_id) % 10}"]).take(
                    pa.array(np.zeros(rows, np.int8))
                ),
            ]
            batch = pa.RecordBatch.from_arrays(columns, schema=self.schema())
            yield Read(batch, position=(at + rows) * _ROW_BYTES, lines=at + rows)


class Memory:
    """Peak of this process and its children, sampled five times a second."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.2):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak_bytes = max(self.peak_bytes, total)


def dedup(options: argparse.Namespace) -> dict[str, Any]:
    """A run of `generated` and `dedup`."""
    from onetrip.data.engine.run import run

    units = max(1, options.rows // 1_000_000)
    source = {"units": units, "unit_rows": options.rows // units}
    recipe = {
        "source": {"data_exchange_bars:Generated": source, "cache": False},
        "steps": ["dedup"],
    }
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder, Memory() as memory:
        input = Path(folder) / "none"
        input.mkdir()
        start = time.perf_counter()
        result = run(
            recipe, input, Path(folder) / "out", workers=options.workers, memory=options.memory
        )
        wall_s = time.perf_counter() - start
    cpu_s = sum(psutil.Process().cpu_times()[:4])
    return {
        "rows": options.rows,
        "rows_out": result.rows,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "rows_per_s": round(options.rows / wall_s),
        "rows_per_cpu_s": round(options.rows / cpu_s),
        "peak_bytes": memory.peak_bytes,
        "memory": options.memory,
        "workers": options.workers,
    }


def _best(rows: int, rounds: int, once: Callable[[], object]) -> dict[str, Any]:
    wall_s, cpu_s = [], []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        once()
        wall_s.append(time.perf_counter() - wall)
        cpu_s.append(time.process_time() - cpu)
    return {
        "rows": rows,
        "rows_per_s": round(rows / min(wall_s)),
        "rows_per_cpu_s": round(rows / min(cpu_s)),
    }


def tokenise(options: argparse.Namespace) -> dict[str, Any]:
    """`tokenise` on batches of 65,536 chains, one thread."""
    from onetrip.data.steps.tokenise import Tokenise

    batch = pa.record_batch({"sequence_aa": sequences(np.arange(_BATCH_ROWS))})
    return _best(_BATCH_ROWS, options.rounds, lambda: Tokenise().apply(batch))


def stream(options: argparse.Namespace) -> list[dict[str, Any]]:
    """`stream` over 1,048,576 tokenised chains in one process, in every form and order."""
    import torch

    import onetrip.data

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        rows = _write_chains(Path(folder))
        lines = []
        for (form, stored, arguments), shuffle_buffer in itertools.product(_FORMS, (65_536, 0)):
            size = options.batch_size // (_CHAINS_A_PACK if stored == "packs" else 1)
            batches = onetrip.data.stream(
                Path(folder) / stored, size, shuffle_buffer=shuffle_buffer, **arguments
            )
            timed = _best(rows, options.rounds, lambda batches=batches: deque(batches, maxlen=0))
            order = "shuffled" if shuffle_buffer else "in order"
            lines.append({**timed, "batch_size": size, "form": form, "order": order})
    return lines


def _write_chains(folder: Path) -> int:
    """The same chains as rows of their length and laid into rows of 512; how many there are."""
    from onetrip.data.steps.pack import Pack
    from onetrip.data.steps.tokenise import Tokenise

    groups = 16
    with ExitStack() as open_files:
        writers: dict[str, pq.ParquetWriter] = {}
        for group in range(groups):
            numbers = np.arange(group * _BATCH_ROWS, (group + 1) * _BATCH_ROWS)
            tokens = Tokenise().apply(pa.record_batch({"sequence_aa": sequences(numbers)})).batch
            for stored, batch in (("chains", tokens), ("packs", Pack().apply(tokens).batch)):
                if stored not in writers:
                    path = folder / stored / "train-00000.parquet"
                    path.parent.mkdir()
                    writer = pq.ParquetWriter(path, batch.schema, compression="zstd")
                    writers[stored] = open_files.enter_context(writer)
                writers[stored].write_batch(batch)
    return groups * _BATCH_ROWS


JOBS = {"dedup": dedup, "tokenise": tokenise, "stream": stream}


def main() -> None:
    """Measure one job; print lines of JSON, and keep them with --save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--scratch", type=Path, default=None, help="where to write; default: /tmp")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    load = psutil.getloadavg()[0]
    measured = JOBS[options.job](options)
    common = {
        "load": round(load, 1),
        "environment": environment(),
        "command": " ".join(["python", "tools/data_exchange_bars.py", *sys.argv[1:]]),
    }
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for one in measured if isinstance(measured, list) else [measured]:
        line = json.dumps({"bar": options.job, "when": when, **one, **common})
        print(line)
        if options.save:
            path = Path(__file__).parents[1] / "results" / "data" / f"{DEVICE}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
