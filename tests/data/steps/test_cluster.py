"""Clonotypes get stable numbers; near ones are joined exactly where the definition says."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.antibody.cluster import Cluster


def chains(rows):
    v_gene, j_gene, cdr3 = zip(*rows, strict=True)
    return pa.record_batch(
        {
            "v_gene": pa.array(v_gene, pa.string()),
            "j_gene": pa.array(j_gene, pa.string()),
            "cdr3_aa": pa.array(cdr3, pa.string()),
            "sequence_aa": [f"EVQ{n}" for n in range(len(rows))],
        }
    )


def clusters(table):
    return dict(zip(table["sequence_aa"].to_pylist(), table["cluster_id"].to_pylist(), strict=True))


def partition(of_sequence):
    """Which sequences are together."""
    together = {}
    for sequence, number in of_sequence.items():
        together.setdefault(number, set()).add(sequence)
    return sorted(map(sorted, together.values()))


GENES = st.sampled_from(["IGHV1-2", "IGHV3-23"])
CDR3 = st.text("AW", min_size=9, max_size=11)


@given(
    st.lists(st.tuples(GENES, st.just("IGHJ4"), CDR3), min_size=1),
    st.sampled_from([1.0, 0.9, 0.8]),
    st.integers(1, 4),
)
def test_is_the_definition(run_step, rows, identity, buckets):
    table, _, _ = run_step(Cluster(identity=identity), [chains(rows)], buckets=buckets)
    number = list(range(len(rows)))
    for _ in rows:
        for a, one in enumerate(rows):
            for b, other in enumerate(rows[:a]):
                apart = sum(x != y for x, y in zip(one[2], other[2], strict=False))
                share = 10 * apart <= round(10 * (1 - identity)) * len(one[2])
                if one[:2] == other[:2] and len(one[2]) == len(other[2]) and share:
                    number[a] = number[b] = min(number[a], number[b])
    expected = {f"EVQ{n}": name for n, name in enumerate(number)}
    assert partition(clusters(table)) == partition(expected)


def test_numbers_do_not_change_when_data_grow(run_step):
    few = [("IGHV1-2", "IGHJ4", "ARDYYGSSYFDY"), ("IGHV3-23", "IGHJ6", "AKDGYW")]
    more = [*few, ("IGHV4-34", "IGHJ4", "ARGYW"), few[0]]
    before = clusters(run_step(Cluster(), [chains(few)])[0])
    after = clusters(run_step(Cluster(), [chains(more[:1]), chains(more)], buckets=7)[0])
    assert before == {name: after[name] for name in before}
    assert after["EVQ3"] == after["EVQ0"]


def test_component_has_the_smallest_number(run_step):
    rows = [("V", "J", "ARDYYGSSYF"), ("V", "J", "ARDYYGSSYW"), ("V", "J", "ARDYYGSSKW")]
    alone = clusters(run_step(Cluster(), [chains(rows)])[0])
    table, _, counts = run_step(Cluster(identity=0.9), [chains(rows)])
    assert set(clusters(table).values()) == {min(alone.values())}
    assert counts == {"clonotypes_joined": 2}


def test_rows_without_clonotype_go_by_their_sequence(run_step):
    batch = chains([(None, "J", "AR"), (None, "J", "AR"), ("V", "J", ""), ("V", "J", "AR")])
    same = pa.array(["EVQ", "EVQ", "QVQ", "EVQ"])
    batch = batch.set_column(3, "sequence_aa", same)
    for identity in (1.0, 0.9):
        table, _, counts = run_step(Cluster(identity=identity), [batch], buckets=1)
        numbers = table["cluster_id"].to_pylist()
        assert numbers[0] == numbers[1]
        assert len(set(numbers)) == 3
        assert counts == {"no_clonotype": 3}


def test_a_pair_goes_by_its_heavy_chain(run_step):
    heavy = chains([("V1", "J1", "ARDY"), ("V1", "J1", "ARDY")])
    names = [f"{name}_heavy" for name in heavy.schema.names]
    light = chains([("VK1", "JK1", "QQYN"), ("VK3", "JK2", "QHYS")])
    batch = pa.RecordBatch.from_arrays(
        [*heavy.columns, *light.columns], [*names, *(f"{n}_light" for n in light.schema.names)]
    )
    table, _, _ = run_step(Cluster(), [batch])
    assert len(set(table["cluster_id"].to_pylist())) == 1


def test_wrong_use_is_refused():
    with pytest.raises(ArgumentError, match="`identity` must be above"):
        Cluster(identity=0.4)
    with pytest.raises(DataError, match="reads v_gene"):
        Cluster().schema(pa.schema([("sequence_aa", pa.string())]))
