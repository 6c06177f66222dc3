"""Answers of the gate itself: short, in JSON or as a page, and never with a route's help."""

import html
import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "object-src 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
}


class Refusal(Exception):
    """Why a request gets no further, and what would help."""

    def __init__(self, status: HTTPStatus, why: str, way_out: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.text = f"{why} {way_out}".strip()


class SecureSend:
    """`send` that puts `HEADERS` on every answer and knows whether one has begun."""

    def __init__(self, send: Send, *, cache: str) -> None:
        self._send, self._cache = send, cache
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Send one message of an answer."""
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", self._cache)
        await self._send(message)


async def refuse(headers: Headers, send: Send, refusal: Refusal) -> None:
    """Answer a request that was made with `headers`."""
    extra = {}
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        extra["www-authenticate"] = 'Bearer realm="onetrip lab"'
    if refusal.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # The rest of the body is not read.
        extra["connection"] = "close"
    if "text/html" in headers.get("accept", ""):
        await answer(send, refusal.status, _page(refusal), extra, kind="text/html; charset=utf-8")
    else:
        body = json.dumps({"error": refusal.text})
        await answer(send, refusal.status, body, extra, kind="application/json")


async def answer(
    send: Send,
    status: HTTPStatus,
    body: str,
    headers: Mapping[str, str],
    *,
    kind: str = "text/plain; charset=utf-8",
) -> None:
    """Send a whole answer."""
    data = body.encode()
    whole = {**headers, "content-type": kind, "content-length": str(len(data))}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": raw})
    await send({"type": "http.response.body", "body": data})


def _page(refusal: Refusal) -> str:
    # `Strict` keeps the cookie back when a link of another site led here; a second try, from
    # this page, sends it.
    again = ""
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        again = '<p>Are you logged in already? <a href="/">Try again.</a></p>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/tokens.css">'
        '<link rel="stylesheet" href="/static/app.css"><script src="/static/theme.js"></script>'
        f"<title>{refusal.status.phrase} · onetrip lab</title></head>"
        f'<body><main class="refusal"><h1>{refusal.status.phrase}</h1>'
        f"<p>{html.escape(refusal.text)}</p>{again}</main></body></html>"
    )
