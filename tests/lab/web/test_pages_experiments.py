"""Experiments, one experiment, comparisons: what the pages say of a filled lab."""

import re

import pytest

from onetrip.lab.store.database import connect
from onetrip.lab.views.compare import compare
from onetrip.lab.views.experiments import list_experiments
from onetrip.lab.web.pages.experiments import PAGE_SIZE, Asked
from onetrip.lab.web.sentences import verdict_sentence


@pytest.fixture
def read(filled, make_page):
    """Read a page of a filled lab as HTML."""
    browser = make_page().browser()
    filled(120)

    def get(path, status=200, **headers):
        answer = browser.get(path, headers={"accept": "text/html", **headers})
        assert answer.status_code == status, answer.text[:500]
        return answer.text

    return get


@pytest.fixture
def lab(read, database):
    connection = connect(database)
    yield connection
    connection.close()


def rows_of(html):
    return [int(number) for number in re.findall(r'<tr data-key="(\d+)" data-row>', html)]


def first_id(lab, query):
    return list_experiments(lab, query).rows[0]["id"]


def test_the_list_shows_what_the_view_finds(read, lab):
    assert rows_of(read("/experiments")) == [
        row["id"] for row in list_experiments(lab, limit=PAGE_SIZE).rows
    ]
    query = "state:done ratio:>1.1"
    wanted = [row["id"] for row in list_experiments(lab, query, order="-peer").rows]
    assert wanted
    html = read("/experiments?q=state%3Adone+ratio%3A%3E1.1&order=-peer")
    assert rows_of(html) == wanted[:PAGE_SIZE]


def test_pages_follow_each_other_without_gap(read, lab):
    total = list_experiments(lab, limit=1).total
    seen = []
    for page in range(1, -(-total // PAGE_SIZE) + 1):
        seen += rows_of(read(f"/experiments?page={page}"))
    assert sorted(seen) == sorted(set(seen))
    assert len(seen) == total


def test_state_chips_count_and_toggle(read, lab):
    html = read("/experiments?q=state%3Adone+tile")
    counts = list_experiments(lab, "tile").counts_by_state
    for state, count in counts.items():
        assert re.search(rf"<span>{state.replace('_', ' ')}</span></span> <b>{count}</b>", html)
    # The chip that is on leads back to the query without it.
    assert Asked("state:done tile").with_state("done") == "/experiments?q=tile"
    assert Asked('-state:done "a b"').with_state("queued") == (
        "/experiments?q=state%3Aqueued+%22a+b%22"
    )


def test_a_wrong_filter_is_explained_not_hidden(read):
    html = read("/experiments?q=stat%3Adone", status=400)
    assert "Did you mean state:?" in html
    # htmx swaps only what is given as a success.
    assert "Did you mean state:?" in read("/experiments?q=stat%3Adone", **{"hx-request": "true"})
    assert "must be one of" in read("/experiments?order=colour", status=400)


def test_an_empty_lab_says_how_to_fill_it(page):
    for path in ("/experiments", "/hypotheses", "/learnings", "/graph", "/results", "/problems"):
        html = page.browser().get(path, headers={"accept": "text/html"}).text
        assert 'class="empty"' in html, path
        assert "<code>onetrip lab" in html, path


@pytest.mark.parametrize(
    "state",
    ["done", "incorrect", "crashed", "compile_error", "timeout", "hacked", "queued", "running"],
)
def test_every_state_has_a_page_with_its_verdict(read, lab, state):
    found = list_experiments(lab, f"state:{state}").rows[0]
    html = read(f"/experiments/{found['id']}")
    sentence = verdict_sentence(found)
    assert sentence.split(";")[0].split("“")[0].replace("'", "&#39;")[:60] in html
    assert found["problem"] in html


def test_one_experiment_has_all_of_its_evidence(read, lab):
    number = next(
        row["id"]
        for row in list_experiments(lab, "state:done kind:source", order="id", limit=200).rows
        if row["parent_candidate_id"] and row["ratios"]
    )
    html = read(f"/experiments/{number}")
    for heading in ("Why", "Prediction", "In numbers", "Evidence", "Checks", "Times", "Code"):
        assert f"<h2>{heading}</h2>" in html, heading
    assert html.count('<svg xmlns="http://www.w3.org/2000/svg" class="chart"') >= 6
    assert 'class="line added"' in html
    assert 'class="tok-' in html
    assert f'href="/experiments/{number}/source"' in html
    assert f'href="/graph?around=experiment%3A{number}"' in html


def test_a_test_of_a_hypothesis_shows_prediction_and_effect(read, lab):
    number = lab.execute(
        "SELECT source_id FROM edge WHERE relation = 'supports' AND source_type = 'experiment'"
    ).fetchone()[0]
    html = read(f"/experiments/{number}")
    assert "Declared beforehand: " in html
    assert "What this experiment shows" in html
    assert 'class="wanted"' in html


def test_files_are_attachments_and_what_is_not_there_is_404(read, lab, make_page):
    browser = make_page().browser()
    number = first_id(lab, "state:done kind:source")
    answer = browser.get(f"/experiments/{number}/source")
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="experiment-{number}.py"'
    )
    assert "def " in answer.text
    assert (
        browser.get(f"/experiments/{number}/log").headers["content-type"].startswith("text/plain")
    )
    config = first_id(lab, "kind:config")
    assert browser.get(f"/experiments/{config}/source").status_code == 404
    for path in ("/experiments/99999", "/hypotheses/99999", "/problems/99999", "/candidates/99999"):
        assert browser.get(path).status_code == 404, path
    assert browser.get(f"/experiments/{number}?attempt=99").status_code == 404
    assert browser.get("/results?problem=99999").status_code == 404


def test_a_candidate_is_its_newest_experiment(lab, make_page):
    row = lab.execute("SELECT candidate_id, max(id) AS id FROM experiment GROUP BY 1").fetchone()
    answer = make_page().browser().get(f"/candidates/{row['candidate_id']}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/experiments/{row['id']}")


def test_comparison_marks_what_differs(read, lab):
    ids = [row["id"] for row in list_experiments(lab, "state:done problem:1").rows[:3]]
    html = read("/compare?ids=" + ",".join(map(str, ids)))
    assert html == read("/compare?" + "&".join(f"ids={number}" for number in ids))
    assert '<tr class="same">' in html
    assert '<tr class="differs">' in html
    assert f"Against #{ids[0]}" in html
    assert "2 to 20 different experiments" in read("/compare?ids=1", status=400)
    assert "numbers of experiments" in read("/compare?ids=x", status=400)


def test_noise_is_called_noise(read, lab):
    noisy = [
        row["id"]
        for row in list_experiments(lab, "state:done", limit=200).rows
        if (peer := row["best_peer"] or row["ratio"]) and peer["low"] <= 1 <= peer["high"]
    ]
    clear = [
        row["id"]
        for row in list_experiments(lab, "state:done", limit=200).rows
        if (peer := row["best_peer"] or row["ratio"]) and not peer["low"] <= 1 <= peer["high"]
    ]
    assert clear
    for number, expected in [*((n, True) for n in noisy[:3]), *((n, False) for n in clear[:3])]:
        html = read(f"/experiments?q=id%3A{number}")
        assert (">noise</span>" in html) is expected, number


def test_what_was_timed_beside_the_first_is_held_against_it_directly(lab):
    row = next(
        row
        for row in list_experiments(lab, "state:done", limit=200).rows
        if row["baseline_id"] and row["ratio"] and row["baseline_id"] != row["candidate_id"]
    )
    first = lab.execute(
        "SELECT max(id) FROM experiment WHERE candidate_id = ?", (row["baseline_id"],)
    ).fetchone()[0]
    against = compare(lab, [first, row["id"]])["against_first"][0]
    assert against["through"] == "itself"
    assert against["speedup"] == row["ratio"]["speedup"]
