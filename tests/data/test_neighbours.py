"""Neighbours are found exactly; frequent values are counted exactly."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from onetrip.data.text.frequent import frequent
from onetrip.data.text.neighbours import Queries, edit_distances


def levenshtein(a, b):
    """The definition."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


def as_matrix(texts):
    width = max(map(len, texts))
    return np.array([list(text.encode().ljust(width, b"\0")) for text in texts], np.uint8)


TEXTS = st.lists(st.text("ABC", max_size=8), min_size=6, max_size=6)


@given(TEXTS, TEXTS)
def test_edit_distances_are_the_definition(left, right):
    found = edit_distances(as_matrix([*left, "A"]), as_matrix([*right, "AB"]))
    assert found.tolist() == [*map(levenshtein, left, right), 1]


@given(st.integers(0, 1000), st.sampled_from([0.8, 0.9, 0.95, 1.0]))
def test_no_neighbour_is_missed(seed, identity):
    """Targets are queries with up to a dozen random edits, and strangers."""
    random = np.random.default_rng(seed)
    letters = list("ACDEFGHIKLMNPQRSTVWY")
    queries = ["".join(random.choice(letters, random.integers(0, 60))) for _ in range(6)]
    targets = ["".join(random.choice(letters, 50)) for _ in range(3)]
    for query in queries * 3:
        text = list(query)
        for _ in range(random.integers(0, 12)):
            at = int(random.integers(0, len(text) + 1))
            kind = random.integers(0, 3)
            text[at : at + (kind > 0)] = [] if kind == 1 else [random.choice(letters)]
        targets.append("".join(text))
    found = Queries(pa.array(queries), identity).search(pa.array(targets))
    expected = {
        (q, t): 1 - levenshtein(a, b) / max(len(a), len(b), 1)
        for q, a in enumerate(queries)
        for t, b in enumerate(targets)
        if levenshtein(a, b) <= (1 - identity) * max(len(a), len(b)) + 1e-9
    }
    pairs = zip(found.query.tolist(), found.target.tolist(), strict=True)
    assert dict(zip(pairs, found.identity.tolist(), strict=True)) == expected


def test_some_queries_and_no_targets():
    queries = Queries(pa.array(["EVQLV", "DIQMT"]), 0.9)
    found = queries.search(pa.array(["EVQLV", "DIQMT"]), np.array([1]))
    assert (found.query.tolist(), found.target.tolist()) == ([1], [1])
    assert queries.search(pa.array([], pa.string())).query.tolist() == []


def test_frequent_values_among_many_rare_ones():
    random = np.random.default_rng(0)
    column = np.concatenate(
        [random.integers(10, 2**63, 50_000), np.full(700, 3), np.full(1500, 5)]
    ).astype(np.uint64)
    random.shuffle(column)
    assert frequent(lambda: np.array_split(column, 30), 0.01) == {5: 1500, 3: 700}
    assert frequent(lambda: [], 0.01) == {}
