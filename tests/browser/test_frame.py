"""The frame in a real browser: the way in, what comes by itself, hands, keys, looks."""

import re
import time

import pytest

from onetrip.lab.queue.order import waiting
from onetrip.lab.web.pages import PAGES
from onetrip.lab.web.serve import serving

PHONE = {"width": 390, "height": 844}
LIVE = '#chip[data-state="live"]'


def order_of(lab):
    return [row.experiment_id for row in waiting(lab.connection) if row.state == "queued"]


def shown_order(tab):
    return [int(row) for row in tab.eval_on_selector_all(
        "#waiting tbody tr", "rows => rows.map(row => row.dataset.id)")]  # fmt: skip


def until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_token_opens_the_page_and_leaves_the_address(lab, open_tab):
    tab = open_tab(lab)
    assert tab.url == lab.address.url + "/"
    assert tab.title() == "Now · onetrip lab"
    tab.wait_for_selector(LIVE)
    cookie = tab.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert lab.address.secret not in str(cookie)
    assert tab.evaluate("document.cookie") == ""


def test_without_the_token_there_is_a_door_and_no_more(chromium, lab):
    context = chromium.new_context()
    page = context.new_page()
    answer = page.goto(lab.address.url)
    assert answer.status == 401
    assert "onetrip lab serve" in page.inner_text("main")
    assert page.goto(f"{lab.address.url}/queue?token=wrong").status == 401
    context.close()


def test_experiment_appears_by_itself(lab, open_tab):
    tab = open_tab(lab, "/queue")
    tab.wait_for_selector(LIVE)
    tab.wait_for_selector("text=Nothing waits")
    began = time.monotonic()
    number = lab.queue("wide loads", "fewer instructions")
    row = tab.wait_for_selector(f'#waiting tr[data-id="{number}"]')
    assert time.monotonic() - began < 10
    assert "fewer instructions" in row.inner_text()
    assert not tab.is_visible("text=Nothing waits")


def test_machine_is_looked_at(tab):
    tab.wait_for_selector(".device .spark canvas")
    assert re.fullmatch(r"\d+ %", tab.inner_text('.device [data-key="utilisation"] b'))
    tab.wait_for_function(
        "document.querySelector('.device [data-key=memory_bytes] b').textContent.includes(' of ')"
    )


def test_reorder_by_dragging(lab, open_tab):
    numbers = [lab.queue(f"idea {n}") for n in range(4)]
    tab = open_tab(lab, "/queue")
    tab.wait_for_selector(LIVE)
    grip = tab.locator(f'tr[data-id="{numbers[3]}"] .grip').bounding_box()
    first = tab.locator(f'tr[data-id="{numbers[0]}"]').bounding_box()
    tab.mouse.move(grip["x"] + 8, grip["y"] + 8)
    tab.mouse.down()
    tab.mouse.move(first["x"] + 200, first["y"] + first["height"] + 4, steps=6)
    assert tab.locator(".over-above, .over-below").count() == 1
    tab.mouse.move(first["x"] + 200, first["y"] + 4, steps=4)
    tab.mouse.up()
    wanted = [numbers[3], *numbers[:3]]
    until(lambda: order_of(lab) == wanted)
    until(lambda: shown_order(tab) == wanted)
    assert tab.locator(".over-above, .over-below, .dragged").count() == 0


def test_reorder_by_keys(lab, open_tab):
    one, two, three = (lab.queue(f"idea {n}") for n in range(3))
    tab = open_tab(lab, "/queue")
    tab.wait_for_selector(LIVE)
    tab.keyboard.press("j")
    tab.keyboard.press("J")
    until(lambda: order_of(lab) == [two, one, three])
    until(lambda: shown_order(tab) == [two, one, three])
    tab.focus(f'tr[data-id="{three}"] .grip')
    tab.keyboard.press("ArrowUp")
    until(lambda: order_of(lab) == [two, three, one])
    until(lambda: shown_order(tab) == [two, three, one])
    # The hand stays on what it moves.
    until(lambda: tab.evaluate("document.activeElement.closest('tr')?.dataset.id") == str(three))
    tab.keyboard.press("ArrowUp")
    until(lambda: order_of(lab) == [three, two, one])


def test_pin_pause_cancel(lab, open_tab):
    one, two = lab.queue("idea 1"), lab.queue("idea 2")
    tab = open_tab(lab, "/queue")
    tab.wait_for_selector(LIVE)
    tab.click(f'tr[data-id="{two}"] [data-action=pin]')
    until(lambda: shown_order(tab) == [two, one])
    tab.click(f'tr[data-id="{two}"] [data-action=pause]')
    tab.wait_for_selector(f'#paused tr[data-id="{two}"] [data-action=resume]')
    until(lambda: shown_order(tab) == [one])
    tab.evaluate("window.confirm = () => true")
    tab.click(f'tr[data-id="{one}"] [data-action=cancel]')
    tab.wait_for_selector("text=Nothing waits")
    assert order_of(lab) == []


def test_what_is_refused_is_said(lab, open_tab):
    number = lab.queue("idea")
    tab = open_tab(lab, "/queue")
    lab.connection.execute("UPDATE experiment SET state = 'done' WHERE id = ?", (number,))
    tab.click(f'tr[data-id="{number}"] [data-action=pause]')
    assert "must be queued" in tab.wait_for_selector(".notice").inner_text()
    # The browser notes the refusal too.
    tab.complaints.clear()


def test_browser_that_was_cut_off_catches_up(chromium, database, lab_like, open_tab):
    with serving(database) as address:
        lab = lab_like(address)
        port = int(address.url.rpartition(":")[2])
        tab = open_tab(lab, "/log")
        tab.wait_for_selector(LIVE)
        lab.say("seen before")
        tab.wait_for_selector("text=seen before")
    tab.wait_for_selector('#chip[data-state="stale"]')
    for n in range(30):
        lab.say(f"missed {n:02}")
    with serving(database, port=port):
        tab.wait_for_selector(LIVE)
        tab.wait_for_selector("text=missed 29")
        said = tab.eval_on_selector_all("#events .said", "all => all.map(one => one.innerText)")
        assert said[:31] == [f"missed {n:02}" for n in range(29, -1, -1)] + ["seen before"]
        tab.goto("about:blank")


@pytest.fixture
def lab_like(database):
    """A lab over `database` that the test itself serves."""
    from types import SimpleNamespace

    from onetrip.lab.store.database import connect
    from onetrip.lab.store.events import append_event

    connection = connect(database)

    def make(address):
        def say(text):
            return append_event(connection, "worker.joined", "worker", 1, text)

        return SimpleNamespace(address=address, say=say)

    yield make
    connection.close()


HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_hidden_page_asks_for_nothing_and_catches_up(lab, open_tab):
    tab = open_tab(lab, "/log")
    tab.wait_for_selector(LIVE)
    tab.evaluate(HIDE, True)
    tab.wait_for_selector('#chip[data-state="paused"]')
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    lab.say("while it was away")
    tab.wait_for_timeout(1500)
    assert asked == []
    assert not tab.is_visible("text=while it was away")
    tab.evaluate(HIDE, False)
    tab.wait_for_selector("text=while it was away")
    tab.wait_for_selector(LIVE)


def test_row_under_the_pointer_waits(lab, open_tab):
    one, two = lab.queue("idea 1"), lab.queue("idea 2")
    tab = open_tab(lab, "/queue")
    tab.wait_for_selector(LIVE)
    tab.hover(f'tr[data-id="{one}"] .what')
    with lab.connection:
        lab.connection.execute("UPDATE candidate SET title = title || ' renamed'")
    lab.say("changed", type="queue.reordered")
    tab.wait_for_selector(f'tr[data-id="{two}"] >> text=renamed')
    assert "renamed" not in tab.inner_text(f'tr[data-id="{one}"]')
    tab.hover("h1")
    tab.wait_for_selector(f'tr[data-id="{one}"] >> text=renamed')


def test_hostile_text_that_arrives_live(lab, open_tab):
    tab = open_tab(lab, "/log")
    tab.wait_for_selector(LIVE)
    lab.say('<img src=x onerror="alert(1)"><script>alert(2)</script>')
    tab.wait_for_selector("#events >> text=onerror")
    assert tab.locator("#events img, #events script").count() == 0


def test_keys(lab, open_tab):
    lab.queue("idea 1")
    tab = open_tab(lab)
    for entry in PAGES:
        tab.keyboard.press("g")
        with tab.expect_navigation():
            tab.keyboard.press(entry.shortcut)
        assert tab.url == lab.address.url + entry.path
        tab.wait_for_selector(LIVE)
    tab.keyboard.press("?")
    assert tab.is_visible("#keys")
    tab.keyboard.press("Escape")
    assert not tab.is_visible("#keys")
    tab.goto(lab.address.url + "/queue")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.keyboard.type("jjgq")
    assert tab.input_value("#search") == "jjgq"
    tab.keyboard.press("Escape")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/experiments/*")


def test_theme_is_chosen_and_kept(lab, open_tab):
    tab = open_tab(lab, color_scheme="light")

    def paper():
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    assert paper() == "rgb(255, 255, 255)"
    tab.click("#theme")
    tab.click("#theme")
    dark = paper()
    assert dark != "rgb(255, 255, 255)"
    tab.reload()
    assert paper() == dark
    tab.click("#theme")
    assert paper() == "rgb(255, 255, 255)"


def test_system_s_theme_is_followed(lab, open_tab):
    tab = open_tab(lab, color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.key)
def test_phone_shows_everything_in_its_width(filled_lab, open_tab, entry):
    tab = open_tab(filled_lab, entry.path, viewport=PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_older_lines_of_the_log_stay_when_new_ones_come(lab, open_tab):
    for n in range(150):
        lab.say(f"event {n:03}")
    tab = open_tab(lab, "/log")
    tab.wait_for_selector(LIVE)
    tab.click("text=Load older")
    tab.wait_for_selector("text=event 001")
    lab.say("the newest")
    tab.wait_for_selector("text=the newest")
    assert tab.inner_text("#events li >> nth=0 >> css=.said") == "the newest"
    assert tab.is_visible("text=event 001")
