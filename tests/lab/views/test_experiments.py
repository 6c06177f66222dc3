"""The list finds what was asked, counts it, and shows everything about one."""

import json

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.views.experiments import experiment, list_experiments
from onetrip.lab.views.figures import figures, without_figures
from onetrip.lab.views.language import GROUPS, STATES


def shown(lab, number):
    found = experiment(lab, number)
    assert found is not None
    return found


def count(lab, condition):
    return lab.execute(
        "SELECT count(*) FROM experiment JOIN candidate ON candidate.id = candidate_id"
        f" JOIN problem ON problem.id = problem_id WHERE {condition}"
    ).fetchone()[0]


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("", "true"),
        ("state:done", "state = 'done'"),
        ("state:waiting", "state IN ('queued', 'paused')"),
        ("-state:done,hacked", "state NOT IN ('done', 'hacked')"),
        ("proposer:agent", "experiment.proposer LIKE 'agent:%'"),
        ("proposer:TPE,grid", "experiment.proposer IN ('TPE', 'grid')"),
        ("proposer:scripted", "false"),
        ("problem:linear_cross_entropy", "name = 'linear_cross_entropy/gpt2'"),
        ("problem:2", "problem.id = 2"),
        ("problem:*softmax", "name = 'row_softmax'"),
        ("problem:row%softmax", "false"),
        ("impl:triton", "impl = 'triton'"),
        ("kind:source", "candidate.kind = 'source'"),
        ("purpose:confirm state:done", "purpose = 'confirm' AND state = 'done'"),
        ("hypothesis:3", "hypothesis_id = 3"),
        ("hypothesis:none", "hypothesis_id IS NULL"),
        ("-hypothesis:none", "hypothesis_id IS NOT NULL"),
        ("-hypothesis:3", "hypothesis_id IS NULL OR hypothesis_id <> 3"),
        ("campaign:1", "campaign_id = 1"),
        ("id:10..19", "experiment.id BETWEEN 10 AND 19"),
        ("#12", "experiment.id = 12"),
        ("-#12", "experiment.id <> 12"),
        ("pinned:yes", "pinned > 0"),
        ("attempts:2", "(SELECT count(*) FROM attempt WHERE experiment_id = experiment.id) = 2"),
        ("rule:times-itself", "state = 'hacked'"),
        ("priority:>1", "priority > 1"),
        ("champion:yes", "candidate.id IN (SELECT candidate_id FROM champion WHERE until IS NULL)"),
        ("invalid:yes", "experiment.id IN (SELECT experiment_id FROM attempt WHERE invalid <> '')"),
        ("neighbour", "why LIKE '%neighbour%'"),
        ("-neighbour", "why NOT LIKE '%neighbour%'"),
        ("100%", "false"),
        ('"segmentation fault"', "reason LIKE '%segmentation fault%'"),
    ],
)
def test_query_means_what_it_says(lab, query, condition):
    found = list_experiments(lab, query, limit=2000)
    expected = count(lab, condition)
    assert found.total == len(found.rows) == expected
    assert expected > 0 or condition == "false"


def test_measured_fields_filter_and_order(lab):
    found = list_experiments(lab, "ratio:>1.5", order="-ratio", limit=2000)
    ratios = [row["ratio"]["speedup"] for row in found.rows]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] > 1.5
    rest = list_experiments(lab, "-ratio:>1.5", limit=2000)
    assert found.total + rest.total == count(lab, "true")
    shares = list_experiments(lab, "share:0.2..0.4", limit=2000).rows
    assert shares
    assert all(0.2 <= row["floor_share"] <= 0.4 for row in shares)
    assert list_experiments(lab, "median:none state:done").total == count(
        lab, "state = 'done' AND experiment.id NOT IN (SELECT experiment_id FROM answer"
        " JOIN measurement ON attempt_id = answer.id)"
    )  # fmt: skip


def test_what_was_not_measured_comes_last_either_way(lab):
    for order in ("median", "-median"):
        medians = [row["median_ms"] for row in list_experiments(lab, order=order, limit=2000).rows]
        known = [value for value in medians if value is not None]
        assert medians[: len(known)] == known
        assert known == sorted(known, reverse=order.startswith("-"))


def test_counts_tell_what_choosing_a_state_would_show(lab):
    found = list_experiments(lab, "state:done problem:2")
    assert found.counts_by_state["hacked"] == count(lab, "problem.id = 2 AND state = 'hacked'")
    assert found.counts_by_state["done"] == found.total


def test_pages_follow_one_another(lab):
    whole = [row["id"] for row in list_experiments(lab, "state:done", limit=60).rows]
    pages = [
        row["id"]
        for offset in (0, 20, 40)
        for row in list_experiments(lab, "state:done", limit=20, offset=offset).rows
    ]
    assert pages == whole


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (10, -1)])
def test_page_that_cannot_be_is_refused(lab, limit, offset):
    with pytest.raises(ArgumentError, match="`limit, offset`"):
        list_experiments(lab, limit=limit, offset=offset)


def test_unknown_order_is_named(lab):
    with pytest.raises(ArgumentError, match="one of id"):
        list_experiments(lab, order="-speed; DROP TABLE experiment")


def test_states_of_the_language_are_those_of_the_schema(lab):
    schema = lab.execute("SELECT sql FROM sqlite_schema WHERE name = 'experiment'").fetchone()[0]
    allowed = schema.partition("state TEXT NOT NULL CHECK")[2].partition("))")[0]
    assert {state for state in STATES if f"'{state}'" in allowed} == set(STATES)
    assert allowed.count("'") == 2 * len(STATES)
    assert {state for group in GROUPS.values() for state in group} <= set(STATES)


def test_one_experiment_tells_everything(lab):
    found = shown(lab, 2)
    assert json.loads(json.dumps(found)) == found
    assert found["purpose"] == "confirm"
    assert found["hypothesis_status"] == "supported"
    assert found["prediction"]["least_effect"] == 0.05
    assert found["candidate"]["source"].startswith("import torch")
    (attempt,) = found["attempts"]
    assert len(attempt["timings"]) == 5
    assert len(attempt["timings"][0]["samples_ms"]) == 30
    assert attempt["timings"][0]["blocks"][0]["sm_clock_mhz"] == 1980
    assert {pair["baseline"] for pair in attempt["comparisons"]} == {
        "baseline", "eager", "compiled",
    }  # fmt: skip
    assert attempt["checks"][0]["passed"] is True
    assert attempt["tolerance"] == {"factor": 2, "floor": {"float32": 1e-6}}
    assert "timed 30 samples" in attempt["log"]
    assert set(found["spent"]) == {"wall_s", "gpu_s", "tokens"}
    assert [event["type"] for event in found["events"]] == [
        "experiment.queued", "experiment.started", "experiment.finished",
    ]  # fmt: skip
    assert {edge["relation"] for edge in found["edges"]} >= {"supports"}


def test_difference_to_the_parent(lab):
    number = lab.execute(
        "SELECT experiment.id FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " WHERE candidate.kind = 'source' AND candidate.parent_id IS NOT NULL LIMIT 1"
    ).fetchone()[0]
    found = shown(lab, number)
    assert found["diff"].startswith(f"--- candidate {found['parent']['id']}")
    assert f"+++ candidate {found['candidate']['id']}" in found["diff"]
    configured = lab.execute(
        "SELECT experiment.id FROM experiment JOIN candidate AS c ON c.id = candidate_id"
        " JOIN candidate AS p ON p.id = c.parent_id WHERE c.config <> p.config LIMIT 1"
    ).fetchone()[0]
    assert "\n+" in shown(lab, configured)["diff"]


def test_there_is_no_such_experiment(lab):
    assert experiment(lab, 10**6) is None


def test_seed_of_a_running_attempt_stays_secret(lab):
    (number,) = lab.execute(
        "SELECT experiment_id FROM attempt WHERE outcome IS NULL LIMIT 1"
    ).fetchone()
    assert [attempt["seed"] for attempt in shown(lab, number)["attempts"]] == [None]
    assert shown(lab, 2)["attempts"][0]["seed"] is not None


def test_figures_of_several_workloads_are_geometric_means(lab):
    number = lab.execute(
        "SELECT experiment_id FROM answer JOIN measurement ON attempt_id = answer.id"
        " WHERE workload = '512x32768' LIMIT 1"
    ).fetchone()[0]
    figure = figures(lab, [number])[number]
    times = [
        timing["median_ms"]
        for timing in shown(lab, number)["attempts"][-1]["timings"]
        if timing["subject"] == "candidate" and timing["regime"] == "cold"
    ]
    assert figure["workloads"] == len(times) == 2
    assert figure["median_ms"] == pytest.approx((times[0] * times[1]) ** 0.5)
    assert figure["floor_share"] == pytest.approx(0.0312 / figure["median_ms"])
    assert figure["best_peer"]["baseline"] == "compiled"
    assert set(figure) == set(without_figures())


def test_invalid_answers_have_no_figures(lab):
    number = lab.execute("SELECT experiment_id FROM attempt WHERE invalid <> ''").fetchone()[0]
    assert figures(lab, [number]) == {}
    assert shown(lab, number)["median_ms"] is None
