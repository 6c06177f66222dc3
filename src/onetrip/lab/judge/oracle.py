"""The oracle's process: makes inputs from a secret seed, keeps what is expected, looks at bytes.

Run as ``python -P -m onetrip.lab.judge.oracle CONNECTION``. No candidate's code runs here, and
nothing that is expected ever leaves.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from onetrip.lab.judge.limits import die_with_parent
from onetrip.lab.judge.wire import receive_message, send_message

if TYPE_CHECKING:
    from onetrip.lab.judge.witness import Witness

_TRACEBACK_CHARACTERS = 4000


def serve(connection: socket.socket, parent_pid: int) -> None:
    """Answer until the connection ends. An error here is the lab's, and ends the trial."""
    die_with_parent(parent_pid)
    from onetrip.lab.judge.witness import Witness

    witness = Witness()
    while (received := receive_message(connection)) is not None:
        message, descriptors = received
        answers: list[Mapping[str, object]] = []
        with _Telling(answers):
            answers.append(_answer(witness, message, descriptors))
        send_message(connection, answers[0])


def _answer(
    witness: "Witness", message: Mapping, descriptors: Sequence[int]
) -> Mapping[str, object]:
    if message["order"] == "attach":
        return witness.attach(message, descriptors)
    orders: dict[str, Callable[[Mapping], Mapping[str, object]]] = {
        "open": witness.open,
        "setup": witness.setup,
        "make": witness.make,
        "fill": witness.fill,
        "verify": witness.verify,
    }
    return orders[message["order"]](message)


class _Telling:
    """Answer with an error instead of dying of it: the judge keeps what it says."""

    def __init__(self, answers: list[Mapping[str, object]]) -> None:
        self._answers = answers

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        told = "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:]
        self._answers.append({"error": f"{type(error).__name__}: {error}", "traceback": told})
        return True


def main(arguments: Sequence[str]) -> None:
    """Serve the judge on the given descriptor."""
    descriptor = int(arguments[0])
    os.set_inheritable(descriptor, False)
    connection = socket.socket(fileno=descriptor)
    hello = receive_message(connection)
    if hello is None:
        sys.exit("the judge went before it said anything")
    serve(connection, hello[0]["parent_pid"])


if __name__ == "__main__":
    main(sys.argv[1:])
