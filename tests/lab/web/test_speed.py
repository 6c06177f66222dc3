"""A thousand experiments stay quick: the first page below 300 ms, a filter below 200 ms.

Time of this process on its cores counts, which is where an answer is made; what others do on the
same cores still slows it, through caches, so the fastest of several answers stands.
"""

import time

import pytest

from onetrip.lab.web.session_token import Scope

FIRST_PAGE_MS = 300.0
FILTER_MS = 200.0
MOST_TRIES = 20


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    import sys
    from pathlib import Path

    from starlette.testclient import TestClient

    from onetrip.lab.web.app import create_app
    from onetrip.lab.web.session_token import Keys

    sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
    from fill_lab import fill

    database = tmp_path_factory.mktemp("thousand") / "lab.sqlite"
    fill(database, 1000)
    secret = "s" * 32
    headers = {
        "authorization": f"Bearer {Keys(secret).token(Scope.READ)}",
        "accept": "text/html",
    }
    app = create_app(database, token=secret)
    with TestClient(app, base_url="http://localhost", headers=headers) as client:
        yield client


def fastest_ms(client, path, limit_ms):
    best_ms = float("inf")
    for _ in range(MOST_TRIES):
        began = time.process_time()
        answer = client.get(path)
        best_ms = min(best_ms, (time.process_time() - began) * 1e3)
        assert answer.status_code == 200, answer.text[:300]
        if best_ms < limit_ms:
            break
    return best_ms


@pytest.mark.parametrize("path", ["/", "/queue", "/log", "/experiments"])
def test_page_of_a_thousand_experiments(client, path):
    assert fastest_ms(client, path, FIRST_PAGE_MS) < FIRST_PAGE_MS


@pytest.mark.parametrize(
    "query", ["state:done", "proposer:TPE ratio:>1.1", "register", "problem:row_softmax"]
)
def test_filter_over_a_thousand_experiments(client, query):
    assert "<tr" in client.get("/experiments", params={"q": query}).text
    path = f"/experiments?q={query.replace(' ', '+').replace('>', '%3E')}"
    assert fastest_ms(client, path, FILTER_MS) < FILTER_MS
