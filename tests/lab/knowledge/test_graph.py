"""The graph: what was linked, and what follows from columns."""

import time

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.knowledge import learnings
from onetrip.lab.knowledge.graph import graph, link


@pytest.fixture
def chain(bench):
    """Two candidates, the second made from the first, tested under a hypothesis."""
    first = bench.candidate("first")
    second = bench.candidate("second")
    bench.connection.execute("UPDATE candidate SET parent_id = ? WHERE id = ?", (first, second))
    hypothesis = bench.declare()
    bench.test(hypothesis, 1.2, candidate=second)
    bench.status(hypothesis)
    learnings.add(
        bench.connection,
        text="It pays.\nMuch.",
        scope={},
        confidence=0.5,
        by="x",
        about=[("experiment", 1)],
    )
    return bench


def keys(found):
    return {node["key"] for node in found.nodes}


def triples(found):
    return {(edge["source"], edge["relation"], edge["target"]) for edge in found.edges}


def test_neighbourhood_grows_with_depth(chain):
    near = graph(chain.connection, ("learning", 1), depth=1)
    assert keys(near) == {"learning:1", "experiment:1"}
    far = graph(chain.connection, ("learning", 1), depth=2)
    assert keys(far) == {"learning:1", "experiment:1", "hypothesis:1", "candidate:2"}
    assert "problem:1" in keys(graph(chain.connection, ("learning", 1), depth=3))


def test_edges_follow_from_columns_and_from_results(chain):
    assert triples(graph(chain.connection)) == {
        ("learning:1", "about", "experiment:1"),
        ("experiment:1", "tests", "hypothesis:1"),
        ("experiment:1", "supports", "hypothesis:1"),
        ("experiment:1", "about", "candidate:2"),
        ("candidate:2", "derived_from", "candidate:1"),
        ("candidate:1", "about", "problem:1"),
        ("candidate:2", "about", "problem:1"),
        ("hypothesis:1", "about", "problem:1"),
    }


def test_edge_that_was_linked_and_follows_is_one(chain):
    assert link(chain.connection, ("candidate", 2), "derived_from", ("candidate", 1), "a", 0.5)
    assert not link(chain.connection, ("candidate", 2), "derived_from", ("candidate", 1), "b")
    found = [edge for edge in graph(chain.connection).edges if edge["relation"] == "derived_from"]
    assert [(edge["by"], edge["weight"]) for edge in found] == [("a", 0.5)]


def test_node_shows_its_first_line_and_state(chain):
    shown = {node["key"]: node for node in graph(chain.connection).nodes}
    assert shown["learning:1"]["title"] == "It pays."
    assert shown["hypothesis:1"]["state"] == "inconclusive"
    assert shown["experiment:1"]["title"] == "second"


def test_limit_keeps_the_nearest(chain):
    found = graph(chain.connection, ("learning", 1), depth=5, limit=2)
    assert keys(found) == {"learning:1", "experiment:1"}
    assert found.truncated
    assert not graph(chain.connection, ("learning", 1), depth=5).truncated
    assert graph(chain.connection, limit=2).truncated


def test_every_edge_ends_at_a_node_that_is_shown(chain):
    for limit in range(1, 7):
        found = graph(chain.connection, limit=limit)
        ends = {end for edge in found.edges for end in (edge["source"], edge["target"])}
        assert ends <= keys(found)


@pytest.mark.parametrize(
    ("source", "relation", "target"),
    [
        (("experiment", 99), "about", ("problem", 1)),
        (("experiment", 1), "about", ("problem", 99)),
        (("worker", 1), "about", ("problem", 1)),
        (("experiment; DROP TABLE edge", 1), "about", ("problem", 1)),
        (("learning", 1), "likes", ("problem", 1)),
        (("learning", 1), "contradicts", ("learning", 1)),
        (("experiment", 1), "refutes", ("hypothesis", 1)),
        (("experiment", 1), "tests", ("hypothesis", 1)),
    ],
)
def test_impossible_link_is_refused(chain, source, relation, target):
    before = triples(graph(chain.connection))
    with pytest.raises(ArgumentError, match="`"):
        link(chain.connection, source, relation, target, "agent")
    assert triples(graph(chain.connection)) == before


def test_around_nothing_is_refused(chain):
    with pytest.raises(ArgumentError, match="an existing hypothesis"):
        graph(chain.connection, ("hypothesis", 99))
    with pytest.raises(ArgumentError, match="at least 1"):
        graph(chain.connection, depth=0)


def test_view_of_relations_can_be_asked_in_sql(chain, database):
    from onetrip.lab.knowledge.sql import query

    found = query(database, "SELECT count(*) FROM relation WHERE target_type = 'hypothesis'")
    assert found.rows == [[2]]


def test_neighbourhood_of_a_problem_with_many_candidates_is_quick(bench):
    for number in range(1000):
        bench.insert(
            "candidate", fingerprint=f"many{number}", problem_id=bench.problem, kind="config",
            config="{}", impl="torch", created_at=0.0,
        )  # fmt: skip
    started = time.process_time()
    found = graph(bench.connection, ("problem", bench.problem))
    # Milliseconds on an idle machine; ten times that is a missing index.
    assert time.process_time() - started < 0.5
    assert len(found.nodes) == 500
    assert found.truncated
