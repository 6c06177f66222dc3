"""The stream of events: what is missed is caught up, what is slow is bounded, what ends ends."""

import asyncio
import json
import socket
import time

import httpx
import pytest

from onetrip.lab.web import live
from onetrip.lab.web.frame import Frame
from onetrip.lab.web.sampler import Sampler
from onetrip.lab.web.session_token import Keys


class Listener:
    """A reader of a stream, over a socket as a browser reads."""

    def __init__(self, client, path, **headers):
        self._stream = client.stream("GET", path, headers=headers)

    def __enter__(self):
        self.answer = self._stream.__enter__()
        self._lines = self.answer.iter_lines()
        return self

    def __exit__(self, *reason):
        self._stream.__exit__(*reason)

    def next(self, kind):
        """The next message of this kind: its id and its data."""
        message = {}
        for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif message.get("event") == kind:
                return message.get("id"), json.loads(message["data"])
            else:
                message = {}
        raise AssertionError("the stream ended")


@pytest.fixture
def client(served):
    with served(read_only=True) as address:
        headers = {"authorization": f"Bearer {address.secret}"}
        with httpx.Client(base_url=address.url, headers=headers, timeout=10) as client:
            yield client


def test_events_arrive_in_order_and_in_time(client, say):
    before = [say(f"before {n}") for n in range(3)]
    with Listener(client, "/events?after=0") as listener:
        id, batch = listener.next("batch")
        assert [event["seq"] for event in batch["events"]] == before
        assert (int(id), batch["skipped"]) == (before[-1], 0)
        began = time.monotonic()
        seq = say("later", speed=2)
        id, batch = listener.next("batch")
        assert time.monotonic() - began < 5
        assert batch["events"][0] | {"at": 0} == {
            "seq": seq, "at": 0, "type": "worker.joined", "subject_type": "worker",
            "subject_id": 1, "text": "later", "document": {"speed": 2},
        }  # fmt: skip
    assert listener.answer.headers["content-type"].startswith("text/event-stream")
    assert listener.answer.headers["cache-control"] == "no-store"


def test_browser_that_was_away_catches_up(client, say):
    """It repeats its first address; the header says how far it came."""
    numbers = [say(f"event {n}") for n in range(5)]
    headers = {"last-event-id": str(numbers[1])}
    with Listener(client, "/events?after=0", **headers) as listener:
        _, batch = listener.next("batch")
    assert [event["seq"] for event in batch["events"]] == numbers[2:]


def test_without_a_number_it_begins_now(client, say):
    say("before")
    with Listener(client, "/events") as listener:
        listener.next("beat")
        seq = say("after")
        _, batch = listener.next("batch")
    assert [event["seq"] for event in batch["events"]] == [seq]


def test_long_absence_gets_the_newest_and_the_number_of_the_rest(client, connection, say):
    from onetrip.lab.store.database import transaction

    with transaction(connection):
        numbers = [say(str(n)) for n in range(live.LARGEST_BATCH + 7)]
    with Listener(client, "/events?after=0") as listener:
        _, batch = listener.next("batch")
    assert [event["seq"] for event in batch["events"]] == numbers[7:]
    assert batch["skipped"] == 7


def test_a_burst_comes_as_few_batches(client, say):
    """Two batches a second at most, however much happens."""
    with Listener(client, "/events?after=0") as listener:
        listener.next("beat")
        began, seen, batches = time.monotonic(), 0, 0
        for n in range(60):
            say(str(n))
        while seen < 60:
            seen += len(listener.next("batch")[1]["events"])
            batches += 1
        passed = time.monotonic() - began
    assert batches <= 2 + passed / live.BATCH_EVERY_S


@pytest.mark.parametrize("wrong", ["-1", "x", "1e3", str(2**63), "9" * 50])
def test_number_that_is_none(client, wrong):
    assert client.get("/events", params={"after": wrong}).status_code == 422


def test_header_that_is_no_number_is_left_alone(client, say):
    seq = say("one")
    with Listener(client, "/events?after=0", **{"last-event-id": "x; drop"}) as listener:
        assert listener.next("batch")[0] == str(seq)


def test_streams_are_counted_and_end_with_the_server(served, say, monkeypatch):
    monkeypatch.setattr(live, "MOST_STREAMS", 1)
    with served(read_only=True) as address:
        headers = {"authorization": f"Bearer {address.secret}"}
        client = httpx.Client(base_url=address.url, headers=headers, timeout=10)
        with Listener(client, "/events") as listener:
            listener.next("beat")
            assert client.get("/events").status_code == 503
        deadline = time.monotonic() + 5
        while (status := _peek(client)) == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status == 200
        open_one = client.stream("GET", "/events")
        open_one.__enter__()
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    client.close()


def _peek(client, address="/events"):
    with client.stream("GET", address) as answer:
        return answer.status_code


def stream_of(frame, *, seq=0, with_samples=False):
    return live.EventStream(frame, seq, with_samples=with_samples)


async def drain(stream, *, receive=None, send, seconds):
    async def patient():
        await asyncio.sleep(seconds * 10)

    call = stream({"type": "http"}, receive or patient, send)
    await asyncio.wait_for(call, seconds)


def test_slow_reader_is_dropped_and_holds_one_batch(database, connection, say, monkeypatch):
    monkeypatch.setattr(live, "SLOWEST_SEND_S", 0.1)
    for n in range(3):
        say(str(n))
    frame = Frame(database, Keys("s" * 32))
    frame.tail.seq = 3
    sent = []

    async def stuck(message):
        sent.append(message)
        if len(sent) > 1:
            await asyncio.sleep(60)

    asyncio.run(drain(stream_of(frame), send=stuck, seconds=5))
    assert len(sent) == 2
    assert frame.streams == 0


def test_reader_that_takes_nothing_off_its_socket_is_closed(served, connection, say, monkeypatch):
    """As it is on the wire: what the system's buffers cannot hold waits, then the stream ends."""
    monkeypatch.setattr(live, "SLOWEST_SEND_S", 0.3)
    monkeypatch.setattr(live, "_LONGEST_TEXT", 10**6)
    monkeypatch.setattr(live, "BATCH_EVERY_S", 0.01)
    with served(read_only=True) as address, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", int(address.url.rpartition(":")[2])))
        request = (
            f"GET /events?after=0 HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {address.secret}\r\n\r\n"
        )
        reader.sendall(request.encode())
        watcher = httpx.Client(headers={"authorization": f"Bearer {address.secret}"})
        monkeypatch.setattr(live, "MOST_STREAMS", 1)
        assert until(lambda: _peek(watcher, f"{address.url}/events") == 503)
        for _ in range(40):
            say("x" * 900_000)
        assert until(lambda: _peek(watcher, f"{address.url}/events") == 200)
        watcher.close()


def until(true, seconds=15):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def test_long_event_is_cut_for_the_stream(client, say):
    say("y" * 5000, evidence="z" * 5000)
    with Listener(client, "/events?after=0") as listener:
        (event,) = listener.next("batch")[1]["events"]
    assert event["text"] == "y" * 1000 + "…"
    assert event["document"] == {}


def test_silence_is_filled_with_beats(database, connection, monkeypatch):
    monkeypatch.setattr(live, "BEAT_EVERY_S", 0.05)
    frame = Frame(database, Keys("s" * 32))
    chunks = []

    async def send(message):
        chunks.append(message.get("body", b""))

    async def leave_later():
        await asyncio.sleep(0.6)
        return {"type": "http.disconnect"}

    asyncio.run(drain(stream_of(frame), receive=leave_later, send=send, seconds=5))
    beats = [chunk for chunk in chunks if chunk.startswith(b": beat\nevent: beat\n")]
    assert 3 <= len(beats) <= 12
    assert frame.streams == 0


def test_samples_come_to_those_who_ask(database, connection):
    sampler = Sampler(database, [lambda: [("cuda:0", {"power_w": 300})]])
    sampler.look(1000.0)
    for asked in (True, False):
        frame = Frame(database, Keys("s" * 32), sampler=sampler)
        chunks = []

        async def send(message, chunks=chunks):
            chunks.append(message.get("body", b"").decode())

        async def leave():
            await asyncio.sleep(1.2)
            return {"type": "http.disconnect"}

        stream = stream_of(frame, with_samples=asked)
        asyncio.run(drain(stream, receive=leave, send=send, seconds=5))
        found = [chunk for chunk in chunks if chunk.startswith("event: samples\n")]
        assert len(found) == asked, "a look is sent once, to who asked"
        if asked:
            (sample,) = json.loads(found[0].partition("data: ")[2])
            assert (sample["device"], sample["values"]) == ("cuda:0", {"power_w": 300})
