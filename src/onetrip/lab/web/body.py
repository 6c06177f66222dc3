"""Take a request's body in: of bounded size, in good time, JSON and nothing else."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from onetrip.lab.web.refusal import Refusal

# A candidate's source has at most 4 MiB; the rest is for what surrounds it.
LARGEST_BODY = (4 << 20) + (64 << 10)
SLOWEST_BODY_S = 30.0


async def bounded(headers: Headers, receive: Receive) -> Receive:
    """Read the whole body and hand it on as one message; refuse what is too large or no JSON."""
    announced = headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or int(announced) > LARGEST_BODY:
        raise _too_large()
    try:
        body = await asyncio.wait_for(_read(receive), SLOWEST_BODY_S)
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.") from None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form of another origin can send the three older types without asking; JSON it cannot.
    if body and kind != "application/json":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A body here is application/json.")
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(HTTPStatus.BAD_REQUEST, "The body broke off.")
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> Refusal:
    why = f"A body here has at most {LARGEST_BODY} bytes."
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
