"""Planted leaks are found, and nothing else."""

import json

import numpy as np
import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.leakage_report import LeakageReport


def report(step, stream_of, context, batch):
    parts = [batch.slice(at, 40) for at in range(0, batch.num_rows, 40)]
    return json.loads(step.learn(stream_of(parts), context)["leakage.json"])


def mutated(text, places):
    """The text with its residues at `places` exchanged."""
    letters = list(text)
    for at in places:
        letters[at] = "A" if letters[at] != "A" else "G"
    return "".join(letters)


def test_planted_leaks_are_counted(stream_of, context, random_chains):
    """Of 30 test chains, ten have a relative in training: with 2 and 5 changes, and a deletion."""
    chains = random_chains(130, 120, 121)
    test, train = chains[:30], chains[30:]
    train += [mutated(text, (5, 80)) for text in test[:4]]
    train += [mutated(text, (1, 30, 60, 90, 110)) for text in test[4:8]]
    train += [text[:50] + text[53:] for text in test[8:10]]
    # Ten changes of 120 are beyond 95 %.
    train += [mutated(text, range(0, 120, 12)) for text in test[10:15]]
    batch = pa.record_batch(
        {
            "sequence_aa": test + train,
            "split": ["test"] * len(test) + ["train"] * len(train),
            "cluster_id": pa.array([1] * 20 + list(range(10, len(test + train) - 10)), pa.uint64()),
        }
    )
    found = report(LeakageReport(), stream_of, context, batch)
    chain = found["chains"]["sequence_aa"]
    assert (chain["sampled"], chain["with_relative"]) == (30, 10)
    assert chain["share"] == pytest.approx(1 / 3, abs=1e-6)
    assert chain["training_rows"] == len(train)
    assert {pair["test"] for pair in chain["examples"]} == set(test[:10])
    assert found["splits"] == {"test": 30, "train": len(train)}
    assert found["giant_clusters"][0] == {
        "cluster_id": 1, "rows": 20, "share": round(20 / batch.num_rows, 6)
    }  # fmt: skip
    wider = report(LeakageReport(identity=0.91), stream_of, context, batch)
    assert wider["chains"]["sequence_aa"]["with_relative"] == 15


def test_sample_estimates_and_does_not_depend_on_order(stream_of, context, random_chains):
    test = random_chains(200, 40, 60)
    batch = pa.record_batch(
        {"sequence_aa": test + test[:100], "split": ["test"] * 200 + ["train"] * 100}
    )
    step = LeakageReport(sample=60)
    found = report(step, stream_of, context, batch)["chains"]["sequence_aa"]
    assert found["sampled"] == 60
    assert 0.3 < found["share"] < 0.7
    order = pa.array(np.random.default_rng(0).permutation(batch.num_rows))
    other = report(step, stream_of, context, batch.take(order))["chains"]["sequence_aa"]
    assert other["with_relative"] == found["with_relative"]


def test_both_chains_of_pairs_and_no_test_rows(stream_of, context):
    batch = pa.record_batch(
        {
            "sequence_aa_heavy": ["EVQLVESGGG", "EVQLVESGGG"],
            "sequence_aa_light": ["DIQMTQSPSS", "QSALTQPPSA"],
            "split": pa.array(["train", "test"]).dictionary_encode(),
        }
    )
    chains = report(LeakageReport(), stream_of, context, batch)["chains"]
    assert chains["sequence_aa_heavy"]["with_relative"] == 1
    assert chains["sequence_aa_light"]["with_relative"] == 0
    empty = report(LeakageReport(), stream_of, context, batch.slice(0, 1))["chains"]
    assert empty["sequence_aa_heavy"]["share"] is None


def test_wrong_use_is_refused():
    with pytest.raises(ArgumentError, match="`sample` must be at least 1"):
        LeakageReport(sample=0)
    with pytest.raises(ArgumentError, match="`identity` must be above"):
        LeakageReport(identity=0.2)
    with pytest.raises(DataError, match="reads split"):
        LeakageReport().schema(pa.schema([]))
