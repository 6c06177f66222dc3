"""A lab with something in every room, and clients of its page; nothing here needs torch."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.submit import ProblemFacts, add_problem, submit
from onetrip.lab.store.database import connect
from onetrip.lab.store.events import append_event
from onetrip.lab.web.app import create_app
from onetrip.lab.web.session_token import Keys, Scope

SECRET = "a-secret-of-the-tests-0123456789"
BASE = "http://127.0.0.1:8421"


class Page:
    """The page of one database, and visitors of every kind."""

    def __init__(self, database, **options):
        self.database = database
        self.keys = Keys(SECRET)
        self.app = create_app(database, token=SECRET, **options)

    def client(self, **options):
        """Somebody without token or cookie."""
        settings = {"base_url": BASE, "follow_redirects": False, **options}
        return TestClient(self.app, **settings)

    def browser(self, scope=Scope.ADMIN):
        """Somebody who has opened the address with the token; `client.write` posts as the page."""
        client = self.client()
        assert client.get("/", params={"token": self.keys.token(scope)}).status_code == 303
        client.page = {"origin": BASE, "x-csrf": self.keys.csrf(scope)}
        client.write = lambda path, **body: client.post(path, json=body, headers=client.page)
        return client

    def bearer(self, scope):
        """A program with a token of `scope`."""
        return self.client(headers={"authorization": f"Bearer {self.keys.token(scope)}"})


@pytest.fixture
def database(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture
def connection(database):
    connection = connect(database)
    yield connection
    connection.close()


@pytest.fixture
def page(database, connection):
    return Page(database)


@pytest.fixture
def make_page(database, connection):
    return lambda **options: Page(database, **options)


@pytest.fixture
def browser(page):
    return page.browser()


@pytest.fixture
def problem(connection):
    facts = ProblemFacts("folder", "vectoradd", "f" * 64, {"location": "vectoradd"}, "# Add", 1.0)
    return add_problem(connection, facts)


@pytest.fixture
def queue_one(connection, problem):
    """Queue one candidate; answers with the experiment's number."""

    def queue(title="tile of 64", why="a wider load", **changes):
        source = f"def custom_kernel(data):\n    return data  # {title} {json.dumps(why)}\n"
        given = {"proposer": "person", "why": why, "title": title, **changes}
        return submit(connection, problem, Contender("source", source), **given).experiment_id

    return queue


@pytest.fixture
def say(connection):
    """Append an event."""

    def append(text="it happened", type="worker.joined", **document):
        return append_event(connection, type, "worker", 1, text, **document)

    return append


@pytest.fixture
def secret():
    return SECRET


@pytest.fixture
def served(database):
    """Serve the page of `database` in this process; a context that yields its address."""
    from onetrip.lab.web.serve import serving

    @contextmanager
    def serve(**options):
        with serving(database, **options) as address:
            yield address

    return serve


@pytest.fixture
def filled(database):
    """`database` with a made-up laboratory in it; a function of how large."""
    tools = str(Path(__file__).parents[3] / "tools")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    from fill_lab import fill

    def make(experiments=60):
        fill(database, experiments)
        return database

    return make
