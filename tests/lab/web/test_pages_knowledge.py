"""Hypotheses, learnings, the graph, search, problems, results: pages of a filled lab."""

import re
from xml.etree import ElementTree

import pytest

from onetrip.lab.store.database import connect
from onetrip.lab.web.charts.network import Box, Tie, network
from onetrip.lab.web.effect_chart import effect_chart
from onetrip.lab.web.graph_fold import folded


@pytest.fixture
def read(filled, make_page):
    browser = make_page().browser()
    filled(120)

    def get(path, status=200):
        answer = browser.get(path, headers={"accept": "text/html"})
        assert answer.status_code == status, answer.text[:500]
        return answer.text

    return get


@pytest.fixture
def lab(read, database):
    connection = connect(database)
    yield connection
    connection.close()


def test_hypotheses_stand_in_groups_with_their_evidence(read, lab):
    html = read("/hypotheses")
    for row in lab.execute("SELECT id, status FROM hypothesis"):
        assert f'href="/hypotheses/{row["id"]}"' in html
        assert f"claim-{row['status']}" in html
    assert html.index("Being validated") < html.index("Supported") < html.index("Ruled out")
    only = read("/hypotheses?status=refuted")
    assert "<h2>Ruled out</h2>" in only
    assert "<h2>Supported</h2>" not in only
    read("/hypotheses?status=perhaps", status=400)


def test_a_decided_hypothesis_shows_its_effects_against_the_prediction(read, lab):
    number = lab.execute("SELECT id FROM hypothesis WHERE status = 'supported'").fetchone()[0]
    html = read(f"/hypotheses/{number}")
    assert "interval for" in html
    assert "declared +" in html
    assert "Frozen as" in html
    assert "not what was frozen" not in html


def test_a_changed_declaration_is_told(read, lab):
    number = lab.execute("SELECT id FROM hypothesis WHERE status = 'supported'").fetchone()[0]
    lab.execute("DROP TRIGGER hypothesis_is_frozen")
    lab.execute("UPDATE hypothesis SET least_effect = 0 WHERE id = ?", (number,))
    assert "not what was frozen" in read(f"/hypotheses/{number}")


def test_effects_are_marked_by_what_they_say():
    declared = {"least_effect": 0.05, "direction": "decrease", "metric": "latency_ms"}
    says = ("supports", "refutes", "undecided")
    effects = [
        {"experiment_id": n, "workload": "", "purpose": "search", "says": word}
        | {"gain": gain, "low": gain - 0.01, "high": gain + 0.01}
        for n, (word, gain) in enumerate(zip(says, (0.1, -0.1, 0.05), strict=True), 1)
    ]
    drawing = str(effect_chart("t", effects, declared).wide)
    marks = re.findall(r'class="interval (\w+)"', drawing)
    assert marks == ["for", "against", "noise"]


def test_learnings_are_sorted_and_linked(read, lab):
    html = read("/learnings")
    order = re.findall(r'<li class="card claim-(\w+)" id="learning-\d+"', html)
    assert order.index("superseded") > order.index("active")
    assert order == sorted(order, key=lambda status: status != "active")
    assert "superseded by" in html


def test_search_finds_words_and_marks_them(read):
    html = read("/search?q=split")
    assert "<mark>Split</mark>" in html
    assert "Nothing found" in read("/search?q=zebra")
    assert 'AND OR "' not in read("/search?q=AND+OR+%22+%2A")


def test_problem_page_says_all_of_the_brief(read, lab):
    html = read("/problems/1")
    for heading in ("What is asked", "What counts", "Best so far", "What failed, and why"):
        assert f"<h2>{heading}</h2>" in html
    assert "The brief as who proposes reads it" in html
    for (name,) in lab.execute("SELECT name FROM problem"):
        assert name in read("/problems")


def test_results_draw_each_chart_once_for_screen_and_phone(read, lab):
    html = read("/results?problem=1")
    for title in ("Best so far", "Roofline", "Time against peak memory"):
        assert f"<figcaption>{title}</figcaption>" in html
        assert html.count(f"<title>{title}</title>") == 2, title
    study = lab.execute("SELECT id FROM study WHERE problem_id = 2").fetchone()[0]
    parts = read(f"/results/importance?problem=2&study={study}")
    assert parts.count("<figcaption>What decides the time") >= 1
    read("/results?problem=1&study=99999", status=404)


def test_graph_leads_to_every_kind_of_page(read, lab):
    html = read("/graph")
    drawing = html[html.index('<svg xmlns="http://www.w3.org/2000/svg" class="network"') :]
    drawing = drawing[: drawing.index("</svg>") + 6]
    root = ElementTree.fromstring(drawing)
    kinds = {node.attrib["class"].split()[1] for node in root.findall(".//{*}a")}
    assert {"problem", "hypothesis", "experiment", "learning"} <= kinds
    for node in root.findall(".//{*}a"):
        path = node.attrib["href"].partition("#")[0]
        assert read(path), path
    around = lab.execute("SELECT id FROM hypothesis WHERE status = 'supported'").fetchone()[0]
    near = read(f"/graph?around=hypothesis%3A{around}")
    assert "tie supports" in near
    assert re.search(r'class="node hypothesis here"', near)
    read("/graph?around=planet%3A3", status=400)
    read("/graph?around=hypothesis", status=400)


def node(key, state="", title=""):
    type, _, id = key.partition(":")
    return {"key": key, "type": type, "id": int(id), "title": title or key, "state": state}


def edge(source, relation, target):
    return {"source": source, "relation": relation, "target": target}


def test_fold_shows_a_candidate_by_its_first_experiment():
    nodes = [node("problem:1"), node("candidate:1"), node("experiment:1"), node("experiment:2")]
    edges = [
        edge("experiment:2", "about", "candidate:1"),
        edge("experiment:1", "about", "candidate:1"),
        edge("candidate:1", "about", "problem:1"),
    ]
    boxes, ties = folded(nodes, edges)
    assert [box.key for box in boxes] == ["problem:1", "experiment:1"]
    assert boxes[1].name == "#1 and 1 more"
    assert ties == [Tie("experiment:1", "about", "problem:1")]
    # Who came from the second experiment sees it.
    here, _ = folded(nodes, edges, "experiment:2")
    assert [box.key for box in here if box.here] == ["experiment:2"]


def test_fold_groups_what_hangs_on_one_box_and_keeps_evidence():
    numbers = range(1, 11)
    nodes = [node("hypothesis:1"), *(node(f"experiment:{n}", "done") for n in numbers)]
    edges = [edge(f"experiment:{n}", "tests", "hypothesis:1") for n in numbers]
    edges.append(edge("experiment:3", "supports", "hypothesis:1"))
    boxes, ties = folded(nodes, edges)
    assert [(box.name, box.title) for box in boxes] == [
        ("H1", "hypothesis:1"),
        ("#3", "experiment:3"),
        ("9 experiments", "9 done"),
    ]
    assert boxes[2].href == "/experiments?q=hypothesis%3A1"
    assert sorted(tie.relation for tie in ties) == ["supports", "tests"]


def test_arrows_point_at_what_a_box_is_about():
    boxes = [Box(key, "experiment", key, "", "", "/") for key in ("a", "b")]
    root = ElementTree.fromstring(str(network("t", boxes, [Tie("b", "derived_from", "a")])))
    tie = next(g for g in root.findall(".//{*}g") if g.attrib.get("data-target") == "a")
    tip = float(tie.findall("{*}path")[1].attrib["d"].lstrip("M").split()[0])
    left = {
        link.attrib["data-node"]: float(link.findall("{*}rect")[0].attrib["x"])
        for link in root.findall(".//{*}a")
    }
    assert left["a"] < tip < left["b"]
