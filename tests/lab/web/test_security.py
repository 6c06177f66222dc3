"""The gate: every route asks the same questions, and each refusal is the right one."""

import asyncio
import json

import pytest
from starlette.routing import Mount, Route

from onetrip.lab.queue.workers import register_worker
from onetrip.lab.web import body as body_module
from onetrip.lab.web.refusal import HEADERS
from onetrip.lab.web.security import LOOPBACK_HOSTS, Gate, host_name
from onetrip.lab.web.session_token import Keys, Scope

EVIL_HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "evil.example:8421",
    "localhost.evil.example",
    "0.0.0.0",
    "[::2]",
    "::1",
    "127.0.0.1:80@evil.example",
    "127.0.0.1, evil.example",
    "",
)


def routes_of(app):
    """Method and path of every route, parameters filled in; mounts too."""
    found = []
    for route in _flat(app.routes):
        path = route.path.replace("{id}", "1").replace("{action}", "pin").replace("{path}", "x")
        if isinstance(route, Mount):
            found.append(("GET", f"{path}/x"))
            continue
        found += [(method, path) for method in sorted(route.methods or {"GET"})]
    return [(method, path) for method, path in found if method != "HEAD"]


def _flat(routes):
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _flat(inner.routes)
        elif isinstance(route, Route | Mount):
            yield route


def test_the_list_of_routes_is_the_whole_one(page):
    """The tests below go through it: an empty list would let everything pass."""
    found = routes_of(page.app)
    assert {("GET", "/"), ("GET", "/events"), ("GET", "/static/x"), ("GET", "/log")} <= set(found)
    assert ("POST", "/queue/1/pin") in found
    assert len(found) > 8


@pytest.mark.parametrize("host", EVIL_HOSTS)
def test_rebound_name_reaches_no_route(page, host):
    """Even with the right token: the browser of a rebound name would send what it was given."""
    with page.client() as client:
        for method, path in [*routes_of(page.app), ("OPTIONS", "/"), ("TRACE", "/nowhere")]:
            headers = {"host": host, "authorization": f"Bearer {page.keys.secret}"}
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 421, (method, path)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8421"]
)
def test_names_of_this_machine_reach_it(page, host):
    answer = page.bearer(Scope.READ).get("/log", headers={"host": host})
    assert answer.status_code == 200


def test_host_that_is_allowed_by_name(make_page):
    page = make_page(allowed_hosts=["Lab.Example"])
    assert (
        page.bearer(Scope.READ).get("/log", headers={"host": "lab.example:99"}).status_code == 200
    )
    assert page.bearer(Scope.READ).get("/log").status_code == 421


def test_two_hosts_are_none(page):
    statuses = []

    async def ask():
        gate = Gate(
            page.app, keys=page.keys, allowed_hosts=LOOPBACK_HOSTS, database=page.database,
            read_only=False,
        )  # fmt: skip
        headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
        scope = {"type": "http", "method": "GET", "path": "/static/app.css", "headers": headers,
                 "query_string": b"", "scheme": "http"}  # fmt: skip

        async def send(message):
            statuses.append(message.get("status"))

        await gate(scope, None, send)

    asyncio.run(ask())
    assert statuses[0] == 421


def test_every_route_but_static_asks_for_a_token(page):
    with page.client() as client:
        for method, path in routes_of(page.app):
            expected = 404 if path.startswith("/static/") else 401
            assert client.request(method, path).status_code == expected, (method, path)


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer ", "Basic YTpi", "Bearer " + "é" * 9, "bearer", "Bearer \x00"],
)
def test_wrong_token(page, header):
    answer = page.client().get("/", headers={"authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


def test_wrong_token_does_not_fall_back_to_the_cookie(page, browser):
    assert browser.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert browser.get("/", params={"token": "wrong"}).status_code == 401


def test_cookie_is_no_token_and_token_no_cookie(page):
    cookie = page.keys.cookie(Scope.ADMIN)
    name = page.keys.cookie_name
    assert page.client(headers={"authorization": f"Bearer {cookie}"}).get("/").status_code == 401
    assert page.client(cookies={name: page.keys.secret}).get("/").status_code == 401
    assert page.client(cookies={name: cookie}).get("/log").status_code == 200


def test_token_becomes_a_cookie_and_leaves_the_address(page, secret):
    answer = page.client().get(f"/log?show=worker&token={secret}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/log?show=worker"
    cookie = answer.headers["set-cookie"]
    assert secret not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}


@pytest.mark.parametrize("path", ["//evil.example", "///evil.example", "/%5Cevil.example", "/\\e"])
def test_login_redirects_to_no_other_host(page, secret, path):
    answer = page.client().get(f"http://127.0.0.1:8421{path}?token={secret}")
    location = answer.headers["location"]
    assert location.startswith("/")
    assert location[1:2] not in ("/", "\\")


def test_scopes(page, queue_one):
    number = queue_one()
    read, propose, admin = (page.bearer(s) for s in (Scope.READ, Scope.PROPOSE, Scope.ADMIN))
    for client in (read, propose, admin):
        assert client.get("/queue").status_code == 200
    for client in (read, propose):
        answer = client.post(f"/queue/{number}/pin")
        assert (answer.status_code, "scope" in answer.json()["error"]) == (403, True)
    assert admin.post(f"/queue/{number}/pin").status_code == 200
    assert read.post("/mcp", json={}).status_code == 403


def test_worker_reaches_its_own_door_only(page, connection):
    import hashlib

    digest = hashlib.sha256(b"worker-token").hexdigest()
    register_worker(connection, "far", "http", {"host": "elsewhere"}, digest)
    client = page.client(headers={"authorization": "Bearer worker-token"})
    assert client.get("/").status_code == 403
    assert client.post("/queue/1/pin").status_code == 403
    assert client.post("/api/work/claim").status_code == 404
    connection.execute("UPDATE worker SET ended_at = 1")
    assert client.get("/").status_code == 401


def test_read_only_page_takes_nothing(make_page, queue_one):
    page = make_page(read_only=True)
    answer = page.bearer(Scope.ADMIN).post(f"/queue/{queue_one()}/pin")
    assert (answer.status_code, "read-only" in answer.json()["error"]) == (403, True)
    assert "data-action" not in page.browser().get("/queue").text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"origin": None, "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://127.0.0.1:8421"}, 403),
        ({"origin": None}, 403),
        ({"origin": None, "sec-fetch-site": "same-site"}, 403),
        ({"x-csrf": None}, 403),
        ({"x-csrf": "wrong"}, 403),
    ],
)
def test_write_by_cookie_comes_from_the_page_itself(page, browser, queue_one, changes, status):
    headers = {k: v for k, v in (browser.page | changes).items() if v is not None}
    answer = browser.post(f"/queue/{queue_one()}/pin", headers=headers, json={})
    assert answer.status_code == status, answer.text


def test_tokens_of_the_page_belong_to_their_scope(page, queue_one):
    reader = page.browser(Scope.READ)
    headers = reader.page | {"x-csrf": page.keys.csrf(Scope.ADMIN)}
    assert reader.post(f"/queue/{queue_one()}/pin", headers=headers).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_origins_read_nothing_by_cookie(browser, site):
    asked = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert browser.get("/log", headers=asked).status_code == 403
    followed = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    assert browser.get("/log", headers=followed).status_code == 200


def test_no_answer_invites_other_origins(page, browser):
    preflight = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    for answer in (
        browser.get("/", headers={"origin": "http://evil.example"}),
        page.client().options("/queue/1/pin", headers=preflight),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/static/app.css", "/static/none", "/log?show=x"]
)
def test_every_answer_carries_the_headers(page, browser, path):
    for client in (browser, page.client()):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
    policy = browser.get(path).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy


def test_failure_is_answered_behind_the_headers_and_tells_nothing(page):
    @page.app.get("/fails")
    def fails():
        raise RuntimeError("a secret of the inside")

    client = page.client(raise_server_exceptions=False)
    answer = client.get("/fails", headers={"authorization": f"Bearer {page.keys.secret}"})
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert "secret of the inside" not in answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_bodies_are_json(browser, queue_one, kind):
    headers = browser.page | {"content-type": kind}
    answer = browser.post(f"/queue/{queue_one()}/pin", content=b"{}", headers=headers)
    assert answer.status_code == 415


def test_giant_body_is_not_read(page):
    client = page.bearer(Scope.ADMIN)
    taken = []

    def endless():
        while True:
            taken.append(1)
            assert len(taken) < 200, "the server goes on reading"
            yield b" " * (1 << 20)

    sent = client.post("/queue/1/move", content=b" " * (body_module.LARGEST_BODY + 1))
    assert sent.status_code == 413
    announced = client.post("/queue/1/move", content=b"{}", headers={"content-length": "9" * 12})
    assert announced.status_code == 413


def test_body_without_announced_length_is_bounded():
    chunks = iter([{"type": "http.request", "body": b" " * (1 << 20), "more_body": True}] * 99)

    async def receive():
        return next(chunks)

    from starlette.datastructures import Headers

    from onetrip.lab.web.refusal import Refusal

    with pytest.raises(Refusal, match="at most"):
        asyncio.run(body_module.bounded(Headers({}), receive))
    assert sum(1 for _ in chunks) > 90


def test_body_that_does_not_come_is_given_up(monkeypatch):
    monkeypatch.setattr(body_module, "SLOWEST_BODY_S", 0.05)

    async def receive():
        await asyncio.sleep(60)

    from starlette.datastructures import Headers

    from onetrip.lab.web.refusal import Refusal

    with pytest.raises(Refusal, match="in time"):
        asyncio.run(body_module.bounded(Headers({}), receive))


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"before": "x"}', b'{"before": 1, "more": 2}', b"[]", b"\xff"]
)
def test_broken_json_is_the_sender_s_fault(browser, queue_one, body):
    headers = browser.page | {"content-type": "application/json"}
    answer = browser.post(f"/queue/{queue_one()}/move", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/web/app.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/vendor/../../security.py",
        "/static/%00",
    ],
)
def test_static_leads_nowhere_else(page, path):
    statuses = []

    async def ask():
        from urllib.parse import unquote

        scope = {"type": "http", "method": "GET", "path": unquote(path), "query_string": b"",
                 "raw_path": path.encode(), "headers": [(b"host", b"localhost")],
                 "scheme": "http", "http_version": "1.1", "root_path": ""}  # fmt: skip

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            statuses.append(message.get("status"))

        await page.app(scope, receive, send)

    asyncio.run(ask())
    assert statuses[0] in (401, 404)


def test_websocket_is_refused(page):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), page.client().websocket_connect("/events"):
        pass


def test_host_names():
    assert host_name("localhost:") == ""
    assert host_name("[::1") != "[::1]"


def test_a_lab_s_keys_are_all_different():
    keys, other = Keys("a" * 32), Keys("b" * 32)
    made = [
        make(scope)
        for key in (keys, other)
        for make in (key.token, key.cookie, key.csrf)
        for scope in (Scope.ADMIN, Scope.PROPOSE, Scope.READ)
    ]
    assert len(set(made)) == len(made)
    assert keys.cookie_name != other.cookie_name
    assert "a" * 32 not in repr(keys)


def test_errors_of_scripts_are_json_and_of_browsers_pages(browser):
    assert "error" in json.loads(browser.get("/nowhere").text)
    shown = browser.get("/nowhere", headers={"accept": "text/html"})
    assert (shown.status_code, "<nav" in shown.text) == (404, True)
