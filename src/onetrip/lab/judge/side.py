"""One contender as the judge sees it: its process, its memory, its samples."""

import mmap
import os
import random
import resource
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onetrip.lab.judge.child import Child, Deadline
from onetrip.lab.judge.company import Company
from onetrip.lab.judge.region import create_region, fix_size, map_region, read_at
from onetrip.lab.judge.warm import QUIETLY
from onetrip.lab.judge.wire import Reply, Status
from onetrip.lab.problems.problem import Contender
from onetrip.lab.sandbox.enclosure import Enclosed, enclose
from onetrip.lab.sandbox.level import level
from onetrip.lab.sandbox.walls import Walls

CONTENDER = (*QUIETLY, sys.executable, "-P", "-m", "onetrip.lab.judge.candidate")
_OWN_PROBES = 64
# The interpreter, torch, and the judge's own buffers.
_HARNESS_BYTES = 1 << 30
# Addresses that an interpreter with torch maps without using them.
_MAPPED_UNUSED_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Sample:
    """One call: the child's clock, the judge's clock, and what went on beside it.

    `given_ns` is what the judge waited for while the contender took its inputs.
    """

    case: str
    regime: str
    block: int
    elapsed_ns: int
    wall_ns: int
    given_ns: int
    ahead_ns: int
    trailing_ns: int
    peak_bytes: int
    threads: int


class FailedReply(Exception):
    """An order was answered with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@dataclass(slots=True)
class Side:
    """A contender's process and everything that is known of it.

    `failure` is why a rival is out; `empty` holds calls of nothing, from before anything of the
    contender was loaded.
    """

    name: str
    contender: Contender
    child: Child
    company: Company
    inbox: int
    outbox: int
    failure: str = ""
    case: str = ""
    samples: list[Sample] = field(default_factory=list)
    empty: list[Sample] = field(default_factory=list)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    _memory: mmap.mmap | None = None

    @property
    def sandboxed(self) -> bool:
        """Whether its code is somebody's text."""
        return self.contender.kind == "source"

    def ask(self, order: Mapping[str, object], deadline: Deadline) -> Reply:
        """Give an order; raises `FailedReply` where the answer is an error."""
        self.child.order(order, deadline)
        return self.take(deadline)

    def take(self, deadline: Deadline) -> Reply:
        """The answer to an order; raises `FailedReply` where it is an error."""
        reply = self.child.reply(deadline)
        if reply.status != Status.FINE:
            raise FailedReply(reply)
        return reply

    def open_memory(self, inbox_bytes: int, outbox_bytes: int) -> None:
        """Give the regions their sizes; the judge reads the outputs' bytes, and nothing else."""
        fix_size(self.inbox, inbox_bytes)
        fix_size(self.outbox, outbox_bytes)
        self._memory = map_region(self.outbox, outbox_bytes, readable_only=True)

    def timed_call(self, order: Mapping[str, object], deadline: Deadline) -> tuple[Reply, int]:
        """Give the order to run, and take the time from here."""
        begin = time.perf_counter_ns()
        reply = self.ask(order, deadline)
        return reply, time.perf_counter_ns() - begin

    def probe(self, arena: Mapping, draw: random.Random) -> list[tuple[int, int]]:
        """Bytes of the outputs at random places, as they are at this moment."""
        filled = [place for place in arena["places"] if place["size_bytes"]]
        if self._memory is None or not filled:
            return []
        places = []
        for _ in range(_OWN_PROBES):
            place = draw.choice(filled)
            places.append(place["offset"] + draw.randrange(place["size_bytes"]))
        return list(zip(places, read_at(self._memory, places), strict=True))

    def end(self) -> None:
        """Kill the process and free the memory."""
        self.child.end()
        if self._memory is not None:
            self._memory.close()
        for descriptor in (self.inbox, self.outbox):
            os.close(descriptor)


def start_side(
    name: str,
    contender: Contender,
    *,
    device: str,
    seconds: float,
    memory_bytes: int | None,
    command: Sequence[str] = CONTENDER,
    read_only: tuple[Path, ...] = (),
    warm: bool = False,
) -> Side:
    """Start a contender's process: behind walls if it is somebody's source.

    It is forked where it is to be `warm`, unless the walls are such that only a program can be put
    behind them.
    """
    inbox, outbox = create_region("inbox"), create_region("outbox")

    def walls(line: Sequence[str], descriptors: Sequence[int]) -> Enclosed:
        limits: dict = {}
        if memory_bytes is not None:
            limits["memory_bytes"] = memory_bytes + _HARNESS_BYTES
        cpu_seconds = int(seconds * (os.cpu_count() or 1)) + 60
        room = Walls(read_only=read_only, cpu_seconds=cpu_seconds, device=device, **limits)
        return enclose(line, room, pass_fds=descriptors, level=level())

    sandboxed = contender.kind == "source"
    child = Child(
        command,
        pass_fds=(inbox, outbox),
        enclosed=walls if sandboxed else None,
        warm=warm and (not sandboxed or level().name == "bubblewrap"),
    )
    if memory_bytes is not None and not sandboxed and device == "cpu":
        room_bytes = memory_bytes + _HARNESS_BYTES + _MAPPED_UNUSED_BYTES
        resource.prlimit(child.pid, resource.RLIMIT_AS, (room_bytes, room_bytes))
    hello = {
        "nonce": child.nonce.hex(),
        # A process in a PID namespace of its own cannot see who started it.
        "parent_pid": None if sandboxed else child.parent_pid,
    }
    side = Side(name, contender, child, Company(child.roots), inbox, outbox)
    child.tell(hello, Deadline(time.monotonic() + 10.0))
    return side


def unforeseen_draw() -> random.Random:
    """Draws that no contender can foresee."""
    return random.Random(secrets.token_bytes(16))
