"""A process that has imported what the processes of a trial import, forked for each of them.

Run as ``python -P -m onetrip.lab.judge.template CONNECTION MODULE…``. It runs nothing of a
contender's, starts no thread and touches no device: what is forked from it is as a new process
that has just imported the modules. A keeper between the two tells the judge how the process ended,
and ends it when the judge is gone; the template itself ends with its connection.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onetrip.lab.judge.wire import receive_message, send_message
from onetrip.lab.sandbox import join
from onetrip.lab.sandbox.door import CANNOT_ENCLOSE
from onetrip.lab.sandbox.environment import live_in

_MOST_DESCRIPTORS = 1 << 20


@dataclass(frozen=True, slots=True)
class Role:
    """What a forked process is to be: ``python -m module arguments``."""

    module: str
    arguments: tuple[str, ...]


def serve(connection: socket.socket) -> Role | None:
    """Fork for every order until the connection ends; the role, in a process that was forked."""
    while (received := receive_message(connection)) is not None:
        order, descriptors = received
        keeper = os.fork()
        if keeper == 0:
            connection.detach()
            return _forked(order, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        send_message(connection, {"keeper": keeper})
        _reap()
    _reap()
    return None


def what_forbids_forking() -> str:
    """Why copies of this process would not be as new ones; empty where they are."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"{threads} threads run in the template, and a fork would stop them in mid-stride"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "the template has touched a device, which no copy of it could use"
    return ""


def _import(modules: Sequence[str]) -> None:
    """Import what the modules import: they themselves are run anew, as `__main__`."""
    for name in modules:
        importlib.import_module(name)
        package, _, leaf = name.rpartition(".")
        del sys.modules[name]
        delattr(sys.modules[package], leaf)


def _rest() -> None:
    """Have libraries stop the threads that they started at their import, as they do at a fork."""
    idle = os.fork()
    if idle == 0:
        os._exit(0)
    os.waitpid(idle, 0)
    # A collection would copy every page that it looks at.
    gc.collect()
    gc.freeze()


def _forked(order: Mapping, descriptors: Sequence[int]) -> Role:
    """Fork once more: the keeper stays in here, the process returns."""
    status, output, *given = descriptors
    try:
        for entrance in order["entrances"]:
            with open(entrance, "w") as file:
                file.write("0")
        if order["room"] is not None:
            join.enter(order["room"])
        begun, begins = os.pipe()
        process = os.fork()
    except OSError as error:
        _say(status, {"failed": str(error)})
        os._exit(CANNOT_ENCLOSE)
    if process:
        _keep(process, status, begun)
    os.setsid()
    os.write(begins, b".")
    try:
        _take_place(order, output, given)
    except OSError as error:
        os.write(output, f"the sandbox could not be entered: {error}\n".encode())
        os._exit(CANNOT_ENCLOSE)
    return Role(order["module"], tuple(map(str, given)))


def _take_place(order: Mapping, output: int, given: Sequence[int]) -> None:
    """Be as a process that was started: its descriptors, surroundings, limits and draws."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for standard, source in enumerate((nothing, output, output)):
        os.dup2(source, standard)
    _close_all_but((0, 1, 2, *given))
    live_in(order["environment"])
    os.chdir(order["folder"])
    tempfile.tempdir = None
    # Python draws anew after a fork by itself.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()
    if order["room"] is not None:
        join.settle(order["limits"])


def _keep(process: int, status: int, begun: int) -> None:
    """Wait for the process, and for the judge; tell how the one ended. Never returns."""
    os.read(begun, 1)
    _say(status, {"process": process})
    end = os.pidfd_open(process)
    _close_all_but((status, end))
    watch = select.poll()
    watch.register(end, select.POLLIN)
    # A judge that is gone hangs up.
    watch.register(status, 0)
    watch.poll()
    # Not yet reaped, so that its number is nobody else's.
    os.killpg(process, signal.SIGKILL)
    _, raw = os.waitpid(process, 0)
    _say(status, {"returncode": os.waitstatus_to_exitcode(raw)})
    os._exit(0)


def _say(status: int, message: Mapping[str, object]) -> None:
    # A judge that is gone wants to know nothing.
    with contextlib.suppress(BrokenPipeError):
        os.write(status, json.dumps(message).encode() + b"\n")


def _close_all_but(kept: Sequence[int]) -> None:
    begin = 0
    for descriptor in (*sorted(set(kept)), _MOST_DESCRIPTORS):
        # An empty range that begins at 0 would be taken for all descriptors.
        if begin < descriptor:
            os.closerange(begin, descriptor)
        begin = descriptor + 1


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(arguments: Sequence[str]) -> Role | None:
    """Serve on the given descriptor; the role, in a process that was forked."""
    descriptor = int(arguments[0])
    os.set_inheritable(descriptor, False)
    _import(arguments[1:])
    _rest()
    connection = socket.socket(fileno=descriptor)
    send_message(connection, {"forbids": what_forbids_forking()})
    return serve(connection)


if __name__ == "__main__":
    role = main(sys.argv[1:])
    if role is None:
        # There is nothing to tidy, and torch takes its time to do it.
        os._exit(0)
    sys.argv[1:] = role.arguments
    runpy.run_module(role.module, run_name="__main__", alter_sys=True)
