"""What the judge and its processes say to each other: JSON one way, frames of one size the other.

The judge's own words, and the oracle's, are JSON behind a length. A contender's process answers
with frames of a fixed size that hold numbers and a text for people: there is nothing to parse that
a candidate could have written in a form of its own.
"""

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from onetrip.core.errors import DataError

_LENGTH = struct.Struct("<Q")
_LARGEST_MESSAGE = 1 << 30
PROBES = 64
_HEAD = struct.Struct("<16sII6QI")
_PROBE = struct.Struct(f"<{PROBES}Q{PROBES}B")
FRAME_BYTES = 8192
_TEXT_BYTES = FRAME_BYTES - _HEAD.size - _PROBE.size
NONCE_BYTES = 16


class Status(IntEnum):
    """What a contender's process says of its last order. Nobody gains by lying here."""

    FINE = 0
    RAISED = 1
    COMPILE_ERROR = 2
    OUT_OF_MEMORY = 3
    WRONG_OUTPUT = 4
    BROKEN_RULE = 5
    UNSUPPORTED = 6


@dataclass(frozen=True, slots=True)
class Reply:
    """One frame of a contender's process.

    Parameters
    ----------
    sequence : of the order that it answers.
    elapsed_ns : of the call, by the child's main clock (the device's events, else the host's).
    host_ns : of the call, by the host's clock.
    ahead_ns : what other threads of the process worked between the arrival of the inputs and the
        start of the call.
    trailing_ns : what the device still worked when the call's own stream was done.
    peak_bytes : memory over the inputs, where the order asked for it.
    threads : after the call, of the process.
    probes : places in the output region -> the bytes that stood there when the call returned.
    text : for people.
    """

    sequence: int
    status: Status
    elapsed_ns: int = 0
    host_ns: int = 0
    ahead_ns: int = 0
    trailing_ns: int = 0
    peak_bytes: int = 0
    threads: int = 0
    probes: Mapping[int, int] = field(default_factory=dict)
    text: str = ""


def to_frame(reply: Reply, nonce: bytes) -> bytes:
    """Bytes of a reply.

    >>> reply = Reply(3, Status.FINE, elapsed_ns=5, probes={64: 255}, text="ok")
    >>> from_frame(to_frame(reply, bytes(16)), bytes(16)) == reply
    True
    """
    text = reply.text.encode()[:_TEXT_BYTES]
    head = _HEAD.pack(
        nonce, reply.sequence, reply.status, reply.elapsed_ns, reply.host_ns, reply.ahead_ns,
        reply.trailing_ns, reply.peak_bytes, reply.threads, len(reply.probes),
    )  # fmt: skip
    places, values = list(reply.probes), list(reply.probes.values())
    padding = [0] * (PROBES - len(places))
    probes = _PROBE.pack(*places, *padding, *values, *padding)
    return (head + probes + text).ljust(FRAME_BYTES, b"\0")


def from_frame(frame: bytes, nonce: bytes) -> Reply:
    """Read a frame; raises `DataError` when it is not one of the harness in that process."""
    told, sequence, status, elapsed, host, ahead, trailing, peak, threads, count = _HEAD.unpack(
        frame[: _HEAD.size]
    )
    if told != nonce or count > PROBES or status not in set(Status):
        raise DataError(f"A frame that the harness did not write: it begins {frame[:24]!r}.")
    numbers = _PROBE.unpack(frame[_HEAD.size : _HEAD.size + _PROBE.size])
    probes = dict(zip(numbers[:count], numbers[PROBES : PROBES + count], strict=True))
    text = frame[_HEAD.size + _PROBE.size :].rstrip(b"\0").decode(errors="replace")
    return Reply(
        sequence, Status(status), elapsed, host, ahead, trailing, peak, threads, probes, text
    )


def send_message(
    connection: socket.socket, message: Mapping[str, object], descriptors: Sequence[int] = ()
) -> None:
    """Send one JSON message, with descriptors if there are any."""
    body = json.dumps(message).encode()
    head = _LENGTH.pack(len(body))
    if descriptors:
        sent = socket.send_fds(connection, [head], list(descriptors))
        connection.sendall(head[sent:] + body)
    else:
        connection.sendall(head + body)


def receive_message(connection: socket.socket) -> tuple[dict, list[int]] | None:
    """The next JSON message and what descriptors came with it; None at the end."""
    head, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, 64)
    if not head:
        return None
    head += receive_exactly(connection, _LENGTH.size - len(head))
    (length,) = _LENGTH.unpack(head)
    if length > _LARGEST_MESSAGE:
        raise DataError(f"A message of {length} bytes is longer than any of ours.")
    return json.loads(receive_exactly(connection, length)), list(descriptors)


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """That many bytes; raises `EOFError` when the other side is gone."""
    parts = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the other side of the connection is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
