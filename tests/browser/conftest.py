"""A real browser before a real server; skipped where there is no Chromium.

`lab` is a page that is served from this process over a database of the test's own; `tab` is a
browser's page that is logged in, whose console must stay clean: a script or a style that the
content security policy refuses is an error there.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.submit import ProblemFacts, add_problem, submit
from onetrip.lab.store.database import connect
from onetrip.lab.store.events import append_event
from onetrip.lab.web.serve import Address, serving

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# A slow machine may take long; a wrong page never gets there.
PATIENCE_MS = 60_000


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="module")
def chromium():
    """One browser for a file's tests: while it lives, its thread cannot run another event loop."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    with sync_api.sync_playwright() as playwright:
        # Without its sandbox, which root may not use; it visits nothing but this lab.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Lab:
    """A lab that is served: where, and hands to make something happen in it."""

    database: Path
    address: Address
    connection: object
    problem: int

    def queue(self, title, why="to see it", **changes):
        """Queue a candidate; its number."""
        source = f"def custom_kernel(data):\n    return data  # {json.dumps(title)}\n"
        given = {"proposer": "person", "why": why, "title": title, "expected_s": 20.0, **changes}
        contender = Contender("source", source)
        return submit(self.connection, self.problem, contender, **given).experiment_id

    def say(self, text, type="worker.joined"):
        """Append an event."""
        return append_event(self.connection, type, "worker", 1, text)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture
def lab(database):
    """An empty lab with one problem, served."""
    connection = connect(database)
    facts = ProblemFacts("folder", "vectoradd", "f" * 64, {"location": "vectoradd"}, "# Add", 1.0)
    problem = add_problem(connection, facts)
    with serving(database) as address:
        yield Lab(database, address, connection, problem)
    connection.close()


@pytest.fixture(scope="session")
def filled_lab(tmp_path_factory):
    """A made-up laboratory of 120 experiments, served; for tests that only look."""
    tools = str(Path(__file__).parents[2] / "tools")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    from fill_lab import fill

    database = tmp_path_factory.mktemp("filled") / "lab.sqlite"
    fill(database, 120)
    connection = connect(database)
    with serving(database) as address:
        yield Lab(database, address, connection, 1)
    connection.close()


@pytest.fixture
def open_tab(chromium):
    """Open a logged-in page of a lab: ``open_tab(lab, "/queue", viewport=…, color_scheme=…)``."""
    contexts, complaints = [], []

    def open_one(lab, path="/", **options):
        context = chromium.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda said: _note(complaints, said))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(lab.address.with_token)
        if path != "/":
            page.goto(lab.address.url + path)
        page.complaints = complaints
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _note(complaints, said):
    # A server that is gone for a while is the matter of some tests, and no fault of the page.
    if said.type == "error" and "net::ERR_" not in said.text:
        complaints.append(said.text)


@pytest.fixture
def tab(lab, open_tab):
    """The first page of the empty lab."""
    return open_tab(lab)
