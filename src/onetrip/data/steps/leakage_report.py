"""How much of the test split training has already seen, nearly."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Context, LearnStep, Stream
from onetrip.data.text.columns import plain, require_chain_columns, require_columns
from onetrip.data.text.frequent import frequent
from onetrip.data.text.hashing import hash_strings
from onetrip.data.text.neighbours import Queries
from onetrip.data.text.sampling import SmallestHashes, column_names, rows_of_split

_SEED = 0x1EAC
_EXAMPLES = 20
# A cluster of more rows than this share cannot be split evenly.
_GIANT = 0.01


@dataclass(frozen=True)
class LeakageReport(LearnStep):
    """Look for near relatives of a sample of test chains among all training chains.

    Identity is 1 - (edits / length of the longer chain). The search is exact: the share of sampled
    chains with a relative is an unbiased estimate of the split's leakage. Time grows with
    `sample` times the training rows. The artifact ``leakage.json`` holds, for each chain column,
    how many were sampled and how many have a relative, with examples; rows of each split; and
    clusters of more than 1 % of all rows, which no split can part evenly.

    Parameters
    ----------
    sample : distinct test chains to look for: those with the smallest hashes.
    identity : the least that makes a relative, above 0.5 up to 1.
    """

    sample: int = 500
    identity: float = 0.95

    name: ClassVar[str] = "leakage_report"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "share of test chains with a near relative in training"
    reads: ClassVar[tuple[str, ...]] = ("split",)

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        if self.sample < 1:
            raise ArgumentError(complaint("sample", expected="at least 1", got=self.sample))
        if not 0.5 < self.identity <= 1:
            expected = "above 0.5, up to 1"
            raise ArgumentError(complaint("identity", expected=expected, got=self.identity))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """What comes in goes out."""
        require_columns(self.name, upstream, *self.reads)
        require_chain_columns(self.name, upstream, "sequence_aa")
        return upstream

    def learn(self, stream: Stream, context: Context) -> Mapping[str, bytes]:
        """Report on every chain column."""
        names = column_names(stream)
        chains = [name for name in names if name.startswith("sequence_aa")]
        report = {
            "identity": self.identity,
            "splits": _rows_of_splits(stream) if names else {},
            "chains": {name: self._chain(stream, name) for name in chains},
            "giant_clusters": _giants(stream) if "cluster_id" in names else [],
        }
        return {"leakage.json": json.dumps(report, indent=1).encode()}

    def _chain(self, stream: Stream, name: str) -> dict[str, Any]:
        sample = SmallestHashes(self.sample, pa.schema([("text", pa.string())]))
        for text in _texts(stream, "test", name):
            sample.add(hash_strings(text, _SEED), pa.record_batch({"text": text}))
        texts = sample.rows()["text"].combine_chunks()
        queries = Queries(texts, self.identity)
        waiting = np.arange(len(texts))
        examples: list[dict[str, Any]] = []
        training_rows = 0
        for batch in _texts(stream, "train", name):
            training_rows += len(batch)
            if not waiting.size:
                continue
            found = queries.search(batch, waiting)
            # One relative is enough: a chain that has one is not looked for again.
            leaked, first = np.unique(found.query, return_index=True)
            waiting = np.setdiff1d(waiting, leaked, assume_unique=True)
            examples += [
                {
                    "test": texts[int(found.query[at])].as_py(),
                    "train": batch[int(found.target[at])].as_py(),
                    "identity": round(float(found.identity[at]), 4),
                }
                for at in first[: _EXAMPLES - len(examples)].tolist()
            ]
        leaks = len(texts) - waiting.size
        return {
            "sampled": len(texts),
            "with_relative": leaks,
            "share": round(leaks / len(texts), 6) if len(texts) else None,
            "training_rows": training_rows,
            "examples": examples,
        }


def _texts(stream: Stream, split: str, name: str) -> Iterator[pa.Array]:
    for batch in rows_of_split(stream, split, [name]):
        yield plain(batch[name]).drop_null()


def _rows_of_splits(stream: Stream) -> dict[str, int]:
    rows: dict[str, int] = {}
    for batch in stream.batches(["split"]):
        for entry in plain(batch["split"]).value_counts().to_pylist():
            rows[entry["values"]] = rows.get(entry["values"], 0) + entry["counts"]
    return rows


def _giants(stream: Stream) -> list[dict[str, Any]]:
    def ids() -> Iterator[np.ndarray]:
        for batch in stream.batches(["cluster_id"]):
            yield batch["cluster_id"].to_numpy(zero_copy_only=False)

    return [
        {"cluster_id": value, "rows": rows, "share": round(rows / stream.rows, 6)}
        for value, rows in frequent(ids, _GIANT).items()
    ]
