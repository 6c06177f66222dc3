"""The layout of the graph: columns, order, room; for any graph, circles and islands too."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from onetrip.lab.web.charts.layers import layers, spread

graphs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.just(list(range(size))),
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=30),
    )
)


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_every_node_has_a_place_of_its_own(graph):
    nodes, edges = graph
    places = layers(nodes, edges).places
    assert set(places) == set(nodes)
    for n in nodes:
        for other in nodes[:n]:
            same_column = places[n][0] == places[other][0]
            assert not same_column or abs(places[n][1] - places[other][1]) >= 1 - 1e-9
    assert min(height for _, height in places.values()) >= 0


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_edges_lead_to_the_right_where_no_circle_forbids(graph):
    nodes, edges = graph
    forward = [(a, b) for a, b in edges if a < b]
    places = layers(nodes, forward).places
    assert all(places[a][0] < places[b][0] for a, b in forward)


def test_a_circle_is_cut_once():
    layout = layers(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")])
    column = {node: place[0] for node, place in layout.places.items()}
    assert column == {"a": 0, "b": 1, "c": 2}
    # The one that leads back passes the middle column as well.
    assert len(layout.bends["c", "a"]) == 1


def test_a_ladder_has_no_crossing():
    edges = [("r", f"m{n}") for n in range(4)] + [(f"m{n}", f"l{3 - n}") for n in range(4)]
    nodes = ["r", *(f"m{n}" for n in range(4)), *(f"l{n}" for n in range(4))]
    places = layers(nodes, edges).places
    middle = sorted(range(4), key=lambda n: places[f"m{n}"][1])
    last = sorted(range(4), key=lambda n: places[f"l{3 - n}"][1])
    assert middle == last


def test_unknown_ends_and_loops_are_left_out():
    layout = layers(["a"], [("a", "a"), ("a", "ghost")])
    assert layout.places == {"a": (0, 0.0)}
    assert layout.bends == {}


@settings(max_examples=60)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_spread_keeps_distance_and_order(aims):
    places = spread(aims)
    assert all(after - before >= 1 - 1e-9 for before, after in pairwise(places))
    assert abs(sum(places) - sum(aims)) < 1e-6 * max(1, len(aims)) * 50


def test_spread_leaves_alone_what_has_room():
    assert spread([0.0, 3.0, 9.5]) == [0.0, 3.0, 9.5]
