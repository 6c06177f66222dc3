"""Comparisons say what differs, and refuse what cannot be concluded."""

import json

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.views.compare import compare
from onetrip.lab.views.experiments import list_experiments


@pytest.fixture
def three(lab):
    """Three timed experiments of one problem."""
    return [row["id"] for row in list_experiments(lab, "problem:2 ratio:>0", order="id").rows[:3]]


def test_fields_tell_what_differs(lab, three):
    found = compare(lab, three)
    assert json.loads(json.dumps(found)) == found
    fields = {field["name"]: field for field in found["fields"]}
    assert not fields["problem"]["differs"]
    assert fields["median_ms"]["differs"]
    assert len(fields["title"]["values"]) == 3
    workloads = {(row["workload"], row["regime"]) for row in found["workloads"]}
    assert ("4096x4096", "warm") in workloads
    assert all(len(row["times"]) == 3 for row in found["workloads"])
    assert [diff["id"] for diff in found["diffs"]] == three[1:]


def test_ratio_goes_through_a_shared_baseline(lab, three):
    rows = {row["id"]: row for row in list_experiments(lab, "problem:2", limit=2000).rows}
    # The first of the three is the baseline of the others: they were timed beside it.
    first, other = rows[three[1]], rows[three[2]]
    told = compare(lab, three[1:])["against_first"][0]
    ours = {ratio["baseline"]: ratio for ratio in first["ratios"]}[told["through"]]
    theirs = {ratio["baseline"]: ratio for ratio in other["ratios"]}[told["through"]]
    assert told["speedup"] == pytest.approx(theirs["speedup"] / ours["speedup"])
    assert told["low"] == pytest.approx(theirs["low"] / ours["high"])
    assert told["low"] < told["speedup"] < told["high"]


def test_what_cannot_be_concluded_says_why(lab, three):
    other_problem = list_experiments(lab, "problem:1 ratio:>0").rows[0]["id"]
    told = compare(lab, [three[0], other_problem])["against_first"][0]
    assert told == {"id": other_problem, "why_not": "another problem"}
    failed = list_experiments(lab, "problem:2 state:crashed").rows[0]["id"]
    assert "share no baseline" in compare(lab, [three[0], failed])["against_first"][0]["why_not"]


@pytest.mark.parametrize("numbers", [[], [1], [1, 1], list(range(1, 30)), [1, 10**6]])
def test_impossible_comparison_is_refused(lab, numbers):
    with pytest.raises(ArgumentError, match="`ids`"):
        compare(lab, numbers)
