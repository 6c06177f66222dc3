"""The gate before every route: who asks, from where, for what, and how much they send.

It stands before routing, so that no route, mount, stream or error page can be reached around it.
In this order: the Host header (a rebound name must not reach a local server), the size and type
of the body, the token or cookie, its scope, and for writes by cookie the origin and the page's
own token. What passes gets an answer with headers that forbid scripts and frames of others.
"""

import hashlib
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from onetrip.lab.store.database import connect
from onetrip.lab.web.body import bounded
from onetrip.lab.web.refusal import Refusal, SecureSend, answer, refuse
from onetrip.lab.web.session_token import Keys, Scope, same

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_SAFE_METHODS = ("GET", "HEAD")

# Writes that a proposer may make. All others need `ADMIN`: a new route is closed until it is here.
_PROPOSALS = ("/mcp", "/api/propose")
_WORK = "/api/work"


@dataclass(frozen=True, slots=True)
class _Visitor:
    scope: Scope
    by_cookie: bool
    worker_id: int | None = None


def needed_scope(method: str, path: str) -> Scope:
    """What a request needs.

    >>> needed_scope("GET", "/queue"), needed_scope("POST", "/queue/3/pin")
    (<Scope.READ: 'read'>, <Scope.ADMIN: 'admin'>)
    >>> needed_scope("POST", "/mcp"), needed_scope("GET", "/api/work/claim")
    (<Scope.PROPOSE: 'propose'>, <Scope.WORK: 'work'>)
    """
    if _under(path, _WORK):
        return Scope.WORK
    if any(_under(path, prefix) for prefix in _PROPOSALS):
        return Scope.PROPOSE
    return Scope.READ if method in _SAFE_METHODS else Scope.ADMIN


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


class Gate:
    """ASGI middleware that lets through what may pass and answers the rest itself.

    Behind it ``request.scope["onetrip.scope"]`` is the visitor's `Scope`, and
    ``request.scope["onetrip.worker_id"]`` a worker's number or None.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys,
        allowed_hosts: Iterable[str],
        database: Path,
        read_only: bool,
    ) -> None:
        self._app = app
        self._keys = keys
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._database = database
        self._read_only = read_only

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # No route here speaks WebSocket, which knows neither preflight nor CSRF headers.
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        # Nothing in these files is anybody's secret, and the refusals' own look needs them.
        public = scope["method"] in _SAFE_METHODS and scope["path"].startswith("/static/")
        send = SecureSend(send, cache="no-cache" if public else "no-store")
        try:
            self._check_host(headers)
            if public:
                await self._app(scope, receive, send)
                return
            location = self._login(scope)
            if location is not None:
                await self._welcome(send, *location)
                return
            visitor = await self._identify(headers)
            self._check_scope(scope, visitor)
            self._check_origin(scope, headers, visitor)
            if scope["method"] not in _SAFE_METHODS:
                receive = await bounded(headers, receive)
        except Refusal as refusal:
            await refuse(headers, send, refusal)
            return
        scope["onetrip.scope"] = visitor.scope
        scope["onetrip.worker_id"] = visitor.worker_id
        try:
            await self._app(scope, receive, send)
        except Exception:
            # Answered here, behind the headers, and raised again for the terminal's log.
            if not send.started:
                await refuse(headers, send, _FAILURE)
            raise

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        if len(given) != 1 or host_name(given[0]) not in self._hosts:
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This lab does not answer under that host name.",
                "Use the address that `onetrip lab serve` printed.",
            )

    def _login(self, scope: Connection) -> tuple[str, Scope] | None:
        """The address without its token and what the token opens; None when there is none."""
        query = urllib.parse.parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True
        )
        tokens = [value for name, value in query if name == "token"]
        if not tokens or scope["method"] not in _SAFE_METHODS:
            return None
        opened = self._keys.scope_of_token(tokens[0])
        if opened is None or len(tokens) > 1:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "That token opens nothing here.", _WAY_IN)
        rest = urllib.parse.urlencode([pair for pair in query if pair[0] != "token"])
        # Two slashes would begin the name of another host.
        path = "/" + urllib.parse.quote(scope["path"].lstrip("/\\"), safe="/-._~")
        return (f"{path}?{rest}" if rest else path), opened

    async def _welcome(self, send: Send, location: str, opened: Scope) -> None:
        cookie = (
            f"{self._keys.cookie_name}={self._keys.cookie(opened)}; Path=/; Max-Age=2592000; "
            "HttpOnly; SameSite=Strict"
        )
        headers = {"location": location, "set-cookie": cookie}
        await answer(send, HTTPStatus.SEE_OTHER, "", headers)

    async def _identify(self, headers: Headers) -> _Visitor:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind:
            if kind.lower() == "bearer":
                found = self._keys.scope_of_token(bearer.strip())
                if found is not None:
                    return _Visitor(found, by_cookie=False)
                worker_id = await run_in_threadpool(worker_of, self._database, bearer.strip())
                if worker_id is not None:
                    return _Visitor(Scope.WORK, by_cookie=False, worker_id=worker_id)
            raise Refusal(HTTPStatus.UNAUTHORIZED, "That token opens nothing here.", _WAY_IN)
        found = self._keys.scope_of_cookie(_cookie(headers, self._keys.cookie_name))
        if found is None:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "This lab asks for its token.", _WAY_IN)
        return _Visitor(found, by_cookie=True)

    def _check_scope(self, scope: Connection, visitor: _Visitor) -> None:
        needed = needed_scope(scope["method"], scope["path"])
        if not visitor.scope.allows(needed):
            why = f"This needs a token of scope {needed}; yours is of scope {visitor.scope}."
            raise Refusal(HTTPStatus.FORBIDDEN, why)
        if self._read_only and scope["method"] not in _SAFE_METHODS:
            raise Refusal(HTTPStatus.FORBIDDEN, "This lab is shown read-only.")

    def _check_origin(self, scope: Connection, headers: Headers, visitor: _Visitor) -> None:
        """A browser sends the cookie by itself: what it carries must come from this very page."""
        if not visitor.by_cookie:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if scope["method"] in _SAFE_METHODS:
            # Another port of this host is the same site, and gets the cookie; links may lead here.
            foreign = site in ("cross-site", "same-site")
            if foreign and headers.get("sec-fetch-mode") != "navigate":
                raise Refusal(HTTPStatus.FORBIDDEN, "Another origin asked for this.")
            return
        ours = f"{scope['scheme']}://{headers['host']}".lower()
        if (origin is None and site != "same-origin") or (
            origin is not None and origin.lower() != ours
        ):
            raise Refusal(HTTPStatus.FORBIDDEN, "A write must come from this lab's own page.")
        if not same(headers.get("x-csrf", ""), self._keys.csrf(visitor.scope)):
            raise Refusal(
                HTTPStatus.FORBIDDEN, "The page is older than its session.", "Load it again."
            )


_FAILURE = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The lab failed at this.",
    "What it was stands in the terminal that serves the page.",
)
_WAY_IN = "Open the address with the token that `onetrip lab serve` printed."


def host_name(header: str) -> str:
    """The name in a Host header, without its port; empty when it is no host.

    >>> host_name("LocalHost:8000"), host_name("[::1]:80"), host_name("127.0.0.1:x")
    ('localhost', '[::1]', '')
    """
    if header.startswith("["):
        name, bracket, port = header.partition("]")
        name += bracket
    else:
        name, colon, port = header.partition(":")
        port = colon + port
    well_formed = port == "" or (port.startswith(":") and port[1:].isascii() and port[1:].isdigit())
    return name.lower() if well_formed else ""


def worker_of(database: Path, token: str) -> int | None:
    """The worker that a token belongs to, or None; only the token's hash is kept."""
    connection = connect(database)
    try:
        row = connection.execute(
            "SELECT id FROM worker WHERE token_sha256 = ? AND ended_at IS NULL",
            (hashlib.sha256(token.encode()).hexdigest(),),
        ).fetchone()
        return None if row is None else row["id"]
    finally:
        connection.close()


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value
