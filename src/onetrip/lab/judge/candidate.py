"""A contender's process: takes orders, runs the contender on what it is given, answers in frames.

Run as ``python -P -m onetrip.lab.judge.candidate INBOX OUTBOX CONNECTION`` with three descriptors.
It never sees a seed, an expected value or another contender. Whatever a candidate does to this
process, the judge outside holds the second clock and the oracle looks at bytes only.
"""

import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from onetrip.bench.outcome import failure_of
from onetrip.lab.judge.arena import Arena, Place, arena_from
from onetrip.lab.judge.clocks import Measured, clock_for, count_threads
from onetrip.lab.judge.limits import die_with_parent
from onetrip.lab.judge.returned import (
    BrokenRuleError,
    Span,
    WrongOutputError,
    check_results,
    own_span,
    refuse_borrowed,
    results_in_order,
    span_of,
)
from onetrip.lab.judge.runners import Files, NullRunner, ProblemRunner, Runner, source_runner
from onetrip.lab.judge.shared import shared_bytes
from onetrip.lab.judge.tree import unpack
from onetrip.lab.judge.wire import PROBES, Reply, Status, receive_message, to_frame
from onetrip.lab.problems.problem import Case, Contender, ProblemRef
from onetrip.testing.memory import peak_memory

_QUIET_NS = 200_000
# Threads of a driver may never rest.
_LONGEST_WAIT_S = {"cpu": 0.06, "cuda": 0.006}
_TEXT_CHARACTERS = 6000
_STATUSES = {
    "out_of_memory": Status.OUT_OF_MEMORY,
    "compile_error": Status.COMPILE_ERROR,
    "unsupported": Status.UNSUPPORTED,
}


class Harness:
    """What stands between the judge's orders and one contender."""

    def __init__(self, inbox: int, outbox: int) -> None:
        self._descriptors = (inbox, outbox)
        self._random = random.Random(os.urandom(16))
        self._types: dict[str, type] = {}
        self._before: list[Tensor] = []
        self._sleep = time.sleep

    def open(self, order: Mapping) -> Reply:
        """Learn the sizes; map the memory."""
        self._device = str(order["device"])
        self._trusted = bool(order["trusted"])
        self._clock = clock_for(self._device)
        inbox, outbox = self._descriptors
        self._inbox = shared_bytes(inbox, order["inbox_bytes"], self._device)
        self._outbox = shared_bytes(outbox, order["outbox_bytes"], self._device)
        on_host = self._device == "cpu"
        # On a device the call works on copies: only there may it be fast.
        self._data = self._inbox if on_host else self._inbox.to(self._device)
        self._arena_memory = self._outbox if on_host else self._outbox.to(self._device)
        self._null = NullRunner(order["convention"])
        self._runner: Runner = self._null
        self._written = tuple(order["written"])
        if not self._trusted:
            self._files = Files(order["files"])
        return Reply(0, Status.FINE)

    def load(self, order: Mapping) -> Reply:
        """Import the contender. Nothing of it has run in this process before."""
        contender = Contender(**order["contender"])
        if contender.kind == "source":
            self._runner = source_runner(
                self._files, contender.source, order["function"], order["convention"]
            )
        else:
            ref = ProblemRef(**order["problem"])
            self._runner = ProblemRunner(ref, contender)
        return Reply(0, Status.FINE)

    def case(self, order: Mapping) -> Reply:
        """Another case: its outputs' layout, and what a model is made from."""
        self._arena: Arena = arena_from(order["arena"])
        self._views = self._arena.views(self._arena_memory)
        self._before = []
        case = Case(**order["case"]) if order["case"] else None
        runner = self._null if order["empty"] else self._runner
        setup = None
        if order["setup"] is not None:
            setup = _copied(self._read(order["setup"], order["base"]))
        runner.set_up(case, setup)
        return Reply(0, Status.FINE, threads=count_threads())

    def rest(self, order: Mapping) -> Reply:
        """Poison the outputs, and wait until no other thread works any more."""
        self._arena.poison(self._arena_memory)
        self._clock.finish()
        longest_s = _LONGEST_WAIT_S[self._device.partition(":")[0]]
        waited_s, worked = 0.0, self._clock.others_ns()
        while waited_s < longest_s:
            self._sleep(0.002)
            waited_s += 0.002
            now = self._clock.others_ns()
            if now - worked < _QUIET_NS:
                break
            worked = now
        return Reply(0, Status.FINE)

    def inputs(self, order: Mapping) -> Reply:
        """Take the inputs, which have just been written; then write over the cache."""
        self._ahead_ns = self._clock.others_ns()
        self._cold = bool(order["cold"])
        self._base = int(order["base"])
        document = order["document"]
        size = int(document["bytes"])
        self._given = self._data[self._base : self._base + size]
        self._tree = self._read(document, self._base)
        self._allowed = [document["tensors"][index] for index in self._written]
        self._sum = None if self._data is self._inbox else self._sums()
        self._plan_probes()
        if self._cold:
            self._clock.flush()
        self._clock.finish()
        return Reply(0, Status.FINE)

    def call(self, order: Mapping) -> Reply:
        """Run the contender once, look at its outputs at once, take them over."""
        ahead_ns = self._clock.others_ns() - self._ahead_ns
        runner = self._null if order["empty"] else self._runner
        tree, views = self._tree, self._views
        peak_bytes = 0
        if order["memory"]:
            with peak_memory(self._device) as memory:
                measured = self._clock.time(
                    lambda: runner.call(tree, views), lambda returned: None, cold=False
                )
            peak_bytes = memory.peak_bytes
        else:
            measured = self._clock.time(
                lambda: runner.call(tree, views), self._glance, cold=self._cold
            )
        probes = self._take_over(measured, empty=bool(order["empty"]))
        return Reply(
            0, Status.FINE, measured.elapsed_ns, measured.host_ns, max(0, ahead_ns),
            measured.trailing_ns, peak_bytes, count_threads(), probes,
        )  # fmt: skip

    def _read(self, document: Mapping, base: int) -> object:
        memory = self._data[base : base + int(document["bytes"])]
        if self._data is not self._inbox:
            memory.copy_(self._inbox[base : base + int(document["bytes"])])
        names = _named(document["tree"])
        if names - self._types.keys() and not self._trusted:
            self._types |= self._files.types(names)
        return unpack(document, memory, device=self._device, types=self._types)

    def _plan_probes(self) -> None:
        """Which bytes of the outputs to look at when the call returns: other ones each time."""
        filled = [place for place in self._arena.places if place.size_bytes]
        self._probes: list[tuple[Place, list[int]]] = []
        for place in filled:
            count = max(1, PROBES // len(filled))
            offsets = [self._random.randrange(place.size_bytes) for _ in range(count)]
            self._probes.append((place, offsets))
        del self._probes[PROBES:]
        self._indices = [torch.tensor(offsets, device=self._device) for _, offsets in self._probes]

    def _glance(self, returned: object) -> Tensor | None:
        """The probed bytes, before anything that still runs could finish them."""
        if returned is None:
            sources = [place.bytes_of(self._arena_memory) for place, _ in self._probes]
        else:
            results = results_in_order(returned, self._arena.places)
            if not self._trusted:
                check_results(results, self._arena.places, self._device)
            by_name = dict(zip((place.name for place in self._arena.places), results, strict=True))
            sources = [_flat_bytes(by_name[place.name]) for place, _ in self._probes]
        seen = [source[index] for source, index in zip(sources, self._indices, strict=True)]
        return torch.cat(seen) if seen else None

    def _take_over(self, measured: Measured, *, empty: bool) -> dict[int, int]:
        """Copy results into the output region; answer with the probes."""
        if measured.returned is not None:
            results = results_in_order(measured.returned, self._arena.places)
            if not self._trusted and not empty:
                allowed = self._allowed_spans()
                refuse_borrowed(
                    results, self._arena.places, span_of(self._data), allowed, self._before
                )
                self._before = list(results)
            for place, result in zip(self._arena.places, results, strict=True):
                if tuple(result.shape) != place.shape:
                    raise WrongOutputError(
                        f"`{place.name}` must have shape {list(place.shape)}, "
                        f"got {list(result.shape)}."
                    )
                self._views[place.name].copy_(result)
        if self._sum is not None and not torch.equal(self._sum, self._sums()):
            raise BrokenRuleError("changed input: the inputs are not what they were")
        if self._arena_memory is not self._outbox:
            size = self._arena.total_bytes
            self._outbox[:size].copy_(self._arena_memory[:size])
        if measured.glance is None:
            return {}
        places = [place.offset + offset for place, offsets in self._probes for offset in offsets]
        return dict(zip(places, measured.glance.tolist(), strict=True))

    def _allowed_spans(self) -> list[Span]:
        return [
            own_span(self._given[place["offset"] : place["offset"] + place["bytes"]])
            for place in self._allowed
        ]

    def _sums(self) -> Tensor:
        """Of the inputs on a device, without those that the definition writes too."""
        skipped = {place["offset"]: place["bytes"] for place in self._allowed}
        whole = self._given.view(torch.int64)
        weights = torch.arange(1, 1 << 12, device=self._device)
        sums = []
        begin = 0
        for offset in (*sorted(skipped), self._given.numel()):
            piece = whole[begin // 8 : offset // 8]
            sums.append(piece.sum())
            for part in piece.split(1 << 24):
                rows = part[: part.numel() // weights.numel() * weights.numel()]
                sums.append((rows.view(-1, weights.numel()).sum(0) * weights).sum())
            begin = offset + -(-skipped.get(offset, 0) // 256) * 256
        return torch.stack(sums)


def serve(harness: Harness, connection: socket.socket, nonce: bytes) -> None:
    """Answer orders until the connection ends."""
    while (received := receive_message(connection)) is not None:
        order = received[0]
        reply = _obey(harness, order)
        frame = to_frame(replace(reply, sequence=order["sequence"]), nonce)
        connection.sendall(frame)


def _obey(harness: Harness, order: Mapping) -> Reply:
    orders: dict[str, Callable[[Mapping], Reply]] = {
        "open": harness.open,
        "load": harness.load,
        "case": harness.case,
        "rest": harness.rest,
        "inputs": harness.inputs,
        "call": harness.call,
    }
    caught: list[Reply] = []
    with _CatchingAll(caught):
        return orders[order["order"]](order)
    return caught[0]


class _CatchingAll:
    """Turn what a contender raises into a reply: it may raise anything, and is then done for."""

    def __init__(self, caught: list[Reply]) -> None:
        self._caught = caught

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._caught.append(Reply(0, _status_of(error), text=_text_of(error)))
        return True


def _status_of(error: Exception) -> Status:
    if isinstance(error, BrokenRuleError):
        return Status.BROKEN_RULE
    if isinstance(error, WrongOutputError):
        return Status.WRONG_OUTPUT
    if isinstance(error, SyntaxError):
        return Status.COMPILE_ERROR
    return _STATUSES.get(failure_of(error).outcome, Status.RAISED)


def _text_of(error: Exception) -> str:
    if isinstance(error, BrokenRuleError | WrongOutputError):
        return str(error)
    trace = "".join(traceback.format_exception(error))
    head = f"{type(error).__name__}: {error}"[: _TEXT_CHARACTERS // 3]
    return f"{head}\n\n{trace[-_TEXT_CHARACTERS // 2 :]}"


def _flat_bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8)


def _copied(tree: object) -> object:
    """The tree with tensors of its own: the memory that they came in is used again."""
    if isinstance(tree, Tensor):
        return tree.clone()
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple) and type(tree) in (list, tuple):
        return type(tree)(_copied(value) for value in tree)
    return tree


def _named(node: object) -> set[str]:
    """Names of dataclasses and named tuples in a document's tree."""
    found: set[str] = set()
    if isinstance(node, list):
        for value in node:
            found |= _named(value)
    elif isinstance(node, dict):
        if isinstance(node.get("named"), str):
            found.add(node["named"])
        for value in node.values():
            found |= _named(value)
    return found


def main(arguments: Sequence[str]) -> None:
    """Serve the judge on the given descriptors."""
    inbox, outbox, descriptor = (int(text) for text in arguments)
    for inherited in (inbox, outbox, descriptor):
        # What the candidate starts gets none of them.
        os.set_inheritable(inherited, False)
    connection = socket.socket(fileno=descriptor)
    hello = receive_message(connection)
    if hello is None:
        sys.exit("the judge went before it said anything")
    message = hello[0]
    if message["parent_pid"] is not None:
        die_with_parent(message["parent_pid"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Harness(inbox, outbox), connection, bytes.fromhex(message["nonce"]))


if __name__ == "__main__":
    main(sys.argv[1:])
