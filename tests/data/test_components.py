"""Components and near texts against their definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onetrip.data.text import near_strings
from onetrip.data.text.components import components
from onetrip.data.text.near_strings import near_components


def by_search(nodes, edges):
    """The definition: the smallest node that can be reached."""
    names = list(range(nodes))
    for _ in range(nodes):
        for a, b in edges:
            names[a] = names[b] = min(names[a], names[b])
    return names


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15)
)))  # fmt: skip
def test_components_are_the_definition(graph):
    nodes, edges = graph
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    assert components(nodes, left, right).tolist() == by_search(nodes, edges)


def test_a_long_path_is_one_component():
    order = np.random.default_rng(0).permutation(100_000)
    assert not components(order.size, order[:-1], order[1:]).any()


@given(
    st.lists(st.tuples(st.text("AB", min_size=6, max_size=6), st.integers(0, 1)), unique=True),
    st.integers(0, 2),
    st.sampled_from([1, 3, 1 << 20]),
)
def test_near_texts_are_the_definition(rows, most_apart, pairs_at_once):
    texts = np.array([list(text.encode()) for text, _ in rows], np.uint8).reshape(-1, 6)
    group = np.array([number for _, number in rows], np.int64)
    edges = [
        (a, b)
        for a in range(len(rows))
        for b in range(a)
        if group[a] == group[b] and (texts[a] != texts[b]).sum() <= most_apart
    ]
    before, near_strings._PAIRS = near_strings._PAIRS, pairs_at_once
    try:
        found = near_components(texts, group, most_apart)
    finally:
        near_strings._PAIRS = before
    assert found.tolist() == by_search(len(rows), edges)
