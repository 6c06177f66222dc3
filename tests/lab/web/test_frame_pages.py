"""Now, Queue and Log: what they show, what they say when there is nothing, what their hands do."""

import re
import time

import pytest

from onetrip.lab.queue.claims import claim, heartbeat
from onetrip.lab.queue.order import waiting
from onetrip.lab.queue.workers import register_worker
from onetrip.lab.web.pages import PAGES
from onetrip.lab.web.session_token import Scope


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<main")[2]))


def order_of(connection):
    return [row.experiment_id for row in waiting(connection) if row.state == "queued"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/", "onetrip lab demo"),
        ("/", "within a second of onetrip lab serve"),
        ("/queue", "onetrip lab submit"),
        ("/log", "Each thing that the lab does appears here"),
    ],
)
def test_empty_page_says_what_will_appear_and_how(browser, path, says):
    assert says in text_of(browser.get(path).text)


@pytest.mark.parametrize("page_entry", PAGES, ids=lambda entry: entry.key)
def test_every_view_of_the_navigation_answers(browser, page_entry):
    answer = browser.get(page_entry.path)
    assert answer.status_code == 200
    lit = re.findall(r'<a href="([^"]*)"[^>]*aria-current="page"', answer.text)
    assert lit == [page_entry.path]


def test_shortcuts_are_letters_of_their_own():
    letters = [entry.shortcut for entry in PAGES]
    assert len(set(letters)) == len(letters)
    assert not {"j", "k", "g"} & set(letters)


def test_page_tells_the_stream_where_to_begin(browser, say):
    seq = say("before")
    assert f'data-seq="{seq}"' in browser.get("/log").text


def test_now_shows_what_runs(browser, connection, queue_one):
    number = queue_one("wide loads", "fewer instructions", expected_s=90.0)
    worker = register_worker(connection, "here-1", "local", {"devices": ["cpu"]})
    taken = claim(connection, worker, seed=1)
    assert taken is not None
    assert taken.experiment_id == number
    heartbeat(connection, taken.attempt_id, taken.n, stage="verify")
    shown = text_of(browser.get("/").text)
    for words in ("wide loads", "verify", "vectoradd", "fewer instructions", "here-1", "left"):
        assert words in shown, words
    assert "Nothing runs" not in shown


def test_now_says_when_nobody_takes_what_waits(browser, connection, queue_one):
    queue_one()
    shown = text_of(browser.get("/").text)
    assert "Nothing runs, and 1 waits" in shown
    assert "No worker takes it" in shown
    register_worker(connection, "here-1", "local", {"devices": ["cpu"]})
    assert "A worker is there" in text_of(browser.get("/").text)


def test_samples_are_columns(browser, connection):
    from onetrip.lab.web.devices import Sample
    from onetrip.lab.web.samples import keep_samples

    at = float(int(time.time()))
    keep_samples(connection, [Sample(at, "h", "cuda:0", {"power_w": 300.0})])
    answer = browser.get("/samples", params={"host": "h", "device": "cuda:0"})
    assert answer.json() == {"at": [at], "power_w": [300.0]}
    assert browser.get("/samples", params={"host": "h"}).status_code == 422
    far = browser.get("/samples", params={"host": "h", "device": "x", "minutes": 1e9})
    assert far.status_code == 422


def test_queue_shows_the_order_and_its_reasons(browser, connection, queue_one):
    first, second = queue_one("first idea", "why one"), queue_one("second idea", "why two")
    browser.write(f"/queue/{second}/pin")
    html = browser.get("/queue").text
    assert re.findall(r'<tr data-key="(\d+)"', html) == [str(second), str(first)]
    shown = text_of(html)
    for words in ("pinned: before all that is not", "Proposed: why one", "2 wait", "next"):
        assert words in shown, words


def test_long_queue_shows_its_head_and_what_follows(browser, connection, queue_one):
    numbers = [queue_one(f"idea {n}") for n in range(103)]
    html = browser.get("/queue").text
    assert [int(id) for id in re.findall(r'<tr data-key="(\d+)"', html)] == numbers[:100]
    assert f'data-following="{numbers[100]}"' in html
    assert "103 wait" in text_of(html)
    assert "the first 100 are shown" in text_of(html)


def test_hands_on_the_queue(browser, connection, queue_one):
    one, two, three = (queue_one(f"idea {n}") for n in range(3))
    assert order_of(connection) == [one, two, three]
    browser.write(f"/queue/{three}/move", before=one)
    assert order_of(connection) == [three, one, two]
    browser.write(f"/queue/{three}/move", before=None)
    assert order_of(connection) == [one, two, three]
    browser.write(f"/queue/{two}/pin")
    browser.write(f"/queue/{three}/pin")
    assert order_of(connection) == [three, two, one]
    browser.write(f"/queue/{three}/unpin")
    browser.write(f"/queue/{two}/unpin")
    browser.write(f"/queue/{one}/pause")
    assert order_of(connection) == [two, three]
    assert "Paused" in text_of(browser.get("/queue").text)
    browser.write(f"/queue/{one}/resume")
    browser.write(f"/queue/{two}/cancel")
    assert order_of(connection) == [one, three]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/queue/999/pin", {}, 400),
        ("/queue/1/promote", {}, 404),
        ("/queue/one/pin", {}, 422),
        ("/queue/1/resume", {}, 400),
        ("/queue/1/move", {"before": 1}, 400),
        ("/queue/1/move", {}, 422),
    ],
)
def test_hands_that_cannot(browser, queue_one, path, body, status):
    assert queue_one() == 1
    answer = browser.write(path, **body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_reader_sees_no_hands(page, queue_one):
    queue_one()
    shown = page.browser(Scope.READ).get("/queue").text
    assert "tile of 64" in shown
    assert "data-action" not in shown


def test_log_newest_first_and_by_kind(browser, say):
    say("a worker came")
    say("a stage", type="attempt.stage")
    say("a prediction", type="hypothesis.declared")
    said = [text_of(browser.get(path).text) for path in ("/log", "/log?show=attempt")]
    assert said[0].index("a prediction") < said[0].index("a worker came")
    assert "a stage" not in said[0]
    assert "a stage" in said[1]
    assert "a worker came" not in said[1]


def test_log_leads_on_to_what_is_older(browser, say):
    numbers = [say(f"event {n}!") for n in range(230)]
    seen, path, pages = [], "/log", 0
    while path:
        html = browser.get(path).text
        seen += [int(key) for key in re.findall(r'<li data-key="(\d+)"', html)]
        older = re.search(r'"before": (\d+)', html)
        path = f"/log?before={older[1]}" if older else None
        pages += 1
    assert (seen, pages) == (numbers[::-1], 3)


def test_chips_of_the_log_turn_on_and_off(browser):
    html = browser.get("/log?show=worker,edge").text
    chips = dict(re.findall(r'<a class="chip[^"]*" href="/log\?show=([^"]*)"[^>]*>([^<]*)<', html))
    assert chips == {v: k for k, v in chips.items()} or "worker" in chips.values()
    named = {name: show for show, name in chips.items()}
    assert named["worker"] == "edge"
    assert named["experiment"] == "experiment,worker,edge"
