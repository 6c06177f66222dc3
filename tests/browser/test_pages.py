"""The views in a real browser: filter and share, open, compare, walk the graph, a shared file."""

import re

import pytest

from onetrip.lab.web.static_export import write_campaign_page

PHONE = {"width": 390, "height": 844}
VIEWS = ("/experiments", "/problems", "/hypotheses", "/learnings", "/graph", "/results")


def ids_of(tab):
    return [int(key) for key in tab.eval_on_selector_all(
        "#list tbody tr", "rows => rows.map(row => row.dataset.key)")]  # fmt: skip


def one(lab, query):
    return lab.connection.execute(query).fetchone()[0]


def test_typing_filters_and_the_address_is_what_to_share(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/experiments")
    before = ids_of(tab)
    tab.fill("#filter input[name=q]", "state:incorrect")
    tab.wait_for_url("**q=state%3Aincorrect**")
    tab.wait_for_selector('#list a.chip[aria-current]:has-text("incorrect")')
    found = ids_of(tab)
    assert found
    assert found != before
    states = tab.locator("#list tbody tr td:nth-child(3)").all_inner_texts()
    assert {state.strip() for state in states} == {"incorrect"}
    # Somebody else opens the same address.
    other = open_tab(filled_lab, tab.url.removeprefix(filled_lab.address.url))
    assert ids_of(other) == found
    assert other.input_value("#filter input[name=q]") == "state:incorrect"
    tab.go_back()
    tab.wait_for_selector(f"#list tbody tr:nth-child({len(before)})")


def test_a_wrong_filter_says_so_while_typing(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/experiments")
    tab.fill("#filter input[name=q]", "colour:red")
    tab.wait_for_selector("#list [role=alert] >> text=cannot be read")
    tab.fill("#filter input[name=q]", "")
    tab.wait_for_selector("#list tbody tr")


def test_chip_order_and_page_are_links(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/experiments")
    tab.click('#list a.chip:has-text("done")')
    tab.click("thead >> text=Median")
    tab.wait_for_url("**order=median**")
    assert tab.get_attribute("th[aria-sort]", "aria-sort") == "ascending"
    first = ids_of(tab)
    tab.click("text=Next")
    tab.wait_for_url("**page=2**")
    assert not set(first) & set(ids_of(tab))


def test_open_an_experiment_and_read_its_evidence(filled_lab, open_tab):
    number = one(filled_lab, "SELECT experiment_id FROM champion WHERE until IS NULL LIMIT 1")
    tab = open_tab(filled_lab, f"/experiments?q=id%3A{number}")
    tab.click(f'#list a[href="/experiments/{number}"]:visible >> nth=0')
    tab.wait_for_url(f"**/experiments/{number}")
    assert tab.locator(".verdict .sentence").inner_text().startswith("done")
    chart = tab.locator(".figure svg:visible").first
    assert chart.bounding_box()["width"] > 300
    tab.locator(".figure summary:visible").first.click()
    assert tab.locator(".figure table").first.is_visible()
    # The style sheet that numbers lines and colours words was let through.
    coloured = tab.locator(".code .tok-k, .code .tok-kn").first
    if coloured.count():
        plain = tab.evaluate("getComputedStyle(document.body).color")
        assert coloured.evaluate("node => getComputedStyle(node).color") != plain


def test_choose_and_compare(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/experiments?q=state%3Adone+problem%3A1")
    button = tab.locator("[data-compare]")
    assert button.is_disabled()
    chosen = ids_of(tab)[:2]
    tab.check(f'input[name=ids][value="{chosen[0]}"]')
    # What is chosen stays so when the row is filtered away and others come.
    tab.fill("#filter input[name=q]", f"id:{chosen[1]}")
    tab.wait_for_selector("#list tbody:has(tr):not(:has(tr:nth-child(2)))")
    tab.check(f'input[name=ids][value="{chosen[1]}"]')
    assert button.inner_text() == "Compare 2"
    button.click()
    tab.wait_for_url(f"**/compare?ids={chosen[0]},{chosen[1]}")
    assert tab.locator("tr.differs").first.is_visible()
    assert not tab.locator("tr.same").first.is_visible()
    tab.click("text=Differences only")
    assert tab.locator("tr.same").first.is_visible()


def test_keys_choose_rows(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/experiments")
    for key in "jxjx":
        tab.keyboard.press(key)
    assert tab.locator("[data-compare]").inner_text() == "Compare 2"
    tab.keyboard.press("c")
    tab.wait_for_url("**/compare?ids=*")


def test_walk_the_graph_by_clicks(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/graph")
    number = one(filled_lab, "SELECT id FROM hypothesis WHERE status = 'supported' LIMIT 1")
    tab.locator(f'#graph a[data-node="hypothesis:{number}"]').click()
    tab.wait_for_url(f"**/hypotheses/{number}")
    tab.click("text=Graph around it")
    tab.wait_for_url(f"**/graph?around=hypothesis%3A{number}")
    assert tab.locator("#graph a.here").count() == 1
    experiment = tab.locator("#graph a.node.experiment[data-node^='experiment:']").first
    href = experiment.get_attribute("href")
    experiment.click()
    tab.wait_for_url(f"**{href}")
    # Without a pointer: the same tie is a link of the list.
    tab.go_back()
    listed = tab.locator(f'details table a[href="{href}"]').first
    if not listed.is_visible():
        tab.locator("details summary >> text=The same as a list").click()
    listed.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**{href}")


def test_a_drag_moves_the_graph_and_opens_nothing(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/graph")
    # Larger than its frame, so that there is somewhere to move.
    for _ in range(4):
        tab.click('[data-zoom="in"]')
    before = tab.evaluate("document.getElementById('graph').scrollLeft")
    box = tab.locator("#graph").bounding_box()
    tab.mouse.move(box["x"] + 400, box["y"] + 150)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 250, box["y"] + 150, steps=4)
    tab.mouse.up()
    assert tab.evaluate("document.getElementById('graph').scrollLeft") > before
    assert tab.url.endswith("/graph")


def test_row_under_the_pointer_waits_and_others_come_live(lab, open_tab):
    # The new one comes below: the row stays under the pointer.
    tab = open_tab(lab, "/experiments?order=id")
    tab.wait_for_selector('#chip[data-state="live"]')
    number = lab.queue("first tile")
    row = f'#list tr[data-key="{number}"]'
    tab.wait_for_selector(row)
    tab.hover(row)
    lab.connection.execute("UPDATE candidate SET title = 'renamed' WHERE title = 'first tile'")
    other = lab.queue("second tile")
    tab.wait_for_selector(f'#list tr[data-key="{other}"]')
    assert "first tile" in tab.inner_text(row)
    tab.mouse.move(5, 5)
    tab.wait_for_selector(f"{row} >> text=renamed")


def test_search_from_every_page(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/hypotheses")
    tab.keyboard.press("/")
    tab.keyboard.type("split")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search?q=split")
    assert tab.locator("mark").count() > 0


def test_importance_arrives_after_the_rest(filled_lab, open_tab):
    tab = open_tab(filled_lab, "/results?problem=2")
    tab.wait_for_selector("#importance figure")


def test_what_runs_is_legible_on_a_phone(filled_lab, open_tab):
    stage = "timing benchmark rows=2048 columns=256, cold (33%)"
    filled_lab.connection.execute("UPDATE attempt SET stage = ? WHERE outcome IS NULL", (stage,))
    tab = open_tab(filled_lab, "/", viewport=PHONE)
    title, state = (
        tab.locator(f".running .{one}").first.bounding_box() for one in ("title", "state")
    )
    assert title["width"] > PHONE["width"] / 4
    assert state["x"] + state["width"] <= PHONE["width"]


@pytest.mark.parametrize("path", [*VIEWS, "/problems/1", "/experiments/1", "/hypotheses/3"])
def test_view_fits_a_phone(filled_lab, open_tab, path):
    wide = "## Sizes\n\n| " + " | ".join(f"a wide column {n}" for n in range(20)) + " |\n"
    wide += "|" + "---|" * 20 + "\n"
    filled_lab.connection.execute("UPDATE problem SET brief = ? WHERE id = 1", (wide,))
    tab = open_tab(filled_lab, path, viewport=PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert tab.locator(".figure .wide svg:visible").count() == 0
    assert bool(tab.locator(".figure .narrow svg:visible").count()) is bool(
        tab.locator(".figure svg").count()
    )


def test_shared_file_opens_without_a_network(filled_lab, chromium, tmp_path):
    target = write_campaign_page(filled_lab.database, tmp_path / "campaign.html", campaign_id=1)
    context = chromium.new_context(offline=True, color_scheme="dark")
    tab = context.new_page()
    complaints, asked = [], []
    tab.on("console", lambda said: complaints.append(said.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(target.as_uri())
    chart = tab.locator("svg.chart:visible").first
    assert chart.bounding_box()["height"] > 150
    line = tab.locator("svg.chart:visible path.best-line").first
    assert line.evaluate("node => getComputedStyle(node).stroke") not in ("none", "")
    rows = tab.locator("tr[data-words]:visible")
    all_rows = rows.count()
    tab.fill("#words", "champion")
    assert 0 < rows.count() < all_rows
    link = tab.locator('tr[data-words]:visible a[href^="#experiment-"]').first
    number = re.sub(r"\D", "", link.get_attribute("href"))
    link.click()
    tab.wait_for_selector(f"#experiment-{number}[open]")
    assert asked == [target.as_uri()]
    assert complaints == []
    context.close()
