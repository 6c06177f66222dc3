"""The stream of events: what happened after a number, in batches, for as long as somebody listens.

Three kinds of message: ``batch`` (events, oldest first; its id is the last one's number), ``beat``
(nothing happened, the line is alive) and ``samples`` (what the machine does, for those who ask).
A browser that was away names the last number it saw and gets what it missed; of more than
`LARGEST_BATCH` events the newest, with the number of those left out.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from onetrip.lab.store.database import connect
from onetrip.lab.store.events import events_after, last_seq
from onetrip.lab.web.frame import Frame, frame_of

LARGEST_BATCH = 500
# Twice a second is as much as a reader can follow.
BATCH_EVERY_S = 0.5
BEAT_EVERY_S = 5.0
# A reader that takes nothing for so long is gone or stuck; it comes back by itself.
SLOWEST_SEND_S = 30.0
MOST_STREAMS = 64
_LONGEST_TEXT = 1000

router = APIRouter()


@router.get("/events")
def events(
    request: Request,
    after: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    samples: bool = False,
    last_event_id: Annotated[str, Header(max_length=20)] = "",
) -> Response:
    """Everything that happens after event `after`; without a number, from now on."""
    frame = frame_of(request)
    # A browser that reconnects repeats its first address, and says here how far it came.
    seq = int(last_event_id) if last_event_id.isdecimal() else after
    if seq is None:
        with closing(connect(frame.database)) as connection:
            seq = last_seq(connection)
    if frame.streams >= MOST_STREAMS:
        raise HTTPException(503, f"{MOST_STREAMS} pages are open already; close one.")
    return EventStream(frame, seq, with_samples=samples)


class EventStream(Response):
    """One reader's stream. What waits for a slow reader is one batch, never a queue of them."""

    media_type = "text/event-stream"

    def __init__(self, frame: Frame, seq: int, *, with_samples: bool) -> None:
        super().__init__()
        self._frame, self._seq, self._with_samples = frame, seq, with_samples
        del self.headers["content-length"]
        self.headers["x-accel-buffering"] = "no"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader leaves or the application ends."""
        self._frame.streams += 1
        pump = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        finally:
            self._frame.streams -= 1
            for task in (pump, gone):
                task.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await asyncio.wait_for(send(start), SLOWEST_SEND_S)
        async for chunk in self._messages():
            body = {"type": "http.response.body", "body": chunk.encode(), "more_body": True}
            try:
                await asyncio.wait_for(send(body), SLOWEST_SEND_S)
            except TimeoutError:
                return
        await send({"type": "http.response.body", "body": b""})

    async def _messages(self) -> AsyncIterator[str]:
        yield f"retry: 2000\n\n{_message('beat', {'seq': self._seq})}"
        tail, sampler = self._frame.tail, self._frame.sampler if self._with_samples else None
        loop = asyncio.get_running_loop()
        next_beat = loop.time() + BEAT_EVERY_S
        sampled_at = 0.0
        while not tail.closed:
            wait_s = BATCH_EVERY_S if sampler else max(0.0, next_beat - loop.time())
            if await tail.beyond(self._seq, wait_s):
                yield await run_in_threadpool(self._batch)
                next_beat = loop.time() + BEAT_EVERY_S
                await asyncio.sleep(BATCH_EVERY_S)
            elif loop.time() >= next_beat:
                yield ": beat\n" + _message("beat", {"seq": self._seq})
                next_beat = loop.time() + BEAT_EVERY_S
            if sampler and sampler.latest and sampler.latest[0].at > sampled_at:
                sampled_at = sampler.latest[0].at
                yield _message("samples", [asdict(sample) for sample in sampler.latest])

    def _batch(self) -> str:
        events, skipped = _newest(self._frame.database, self._seq)
        self._seq = events[-1]["seq"] if events else self._seq
        return _message("batch", {"events": events, "skipped": skipped}, id=self._seq)


def _newest(database: Path, seq: int) -> tuple[list[dict], int]:
    with closing(connect(database)) as connection:
        found = events_after(connection, seq, limit=LARGEST_BATCH, newest=True)
        skipped = _between(connection, seq, found[0].seq) if found else 0
    return [_short(asdict(event)) for event in found], skipped


def _short(event: dict) -> dict:
    """An event that a stream can carry hundreds of; the whole one stands in the log."""
    if len(event["text"]) > _LONGEST_TEXT:
        event["text"] = event["text"][:_LONGEST_TEXT] + "…"
    if len(json.dumps(event["document"])) > _LONGEST_TEXT:
        event["document"] = {}
    return event


def _between(connection: sqlite3.Connection, after: int, before: int) -> int:
    query = "SELECT count(*) FROM event WHERE seq > ? AND seq < ?"
    return connection.execute(query, (after, before)).fetchone()[0]


def _message(kind: str, data: object, id: int | None = None) -> str:
    r"""One message; JSON has no line breaks of its own, so that text cannot end it.

    >>> _message("batch", {"text": "a\n\nevent: forged"}, id=7)
    'id: 7\nevent: batch\ndata: {"text": "a\\n\\nevent: forged"}\n\n'
    """
    number = "" if id is None else f"id: {id}\n"
    return f"{number}event: {kind}\ndata: {json.dumps(data)}\n\n"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
