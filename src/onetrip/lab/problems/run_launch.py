"""What a run starts in: it dies with the lab, then becomes the command, or calls the function.

``python -m onetrip.lab.problems.run_launch PARENT_PID -- COMMAND …`` for a command;
``python -m onetrip.lab.problems.run_launch PARENT_PID FUNCTION DESCRIPTOR`` for a function, which
is called once for each line on standard input and answers with a line on the descriptor.
"""

import importlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping

from onetrip.lab.judge.limits import die_with_parent


def main() -> None:
    """Become the command, or serve the function."""
    parent_pid, second, *rest = sys.argv[1:]
    die_with_parent(int(parent_pid))
    if second == "--":
        os.execvp(rest[0], rest)
    serve(load_function(second), int(rest[0]))


def load_function(place: str) -> Callable:
    """The function at "module:function", the module from the folder that this process is in."""
    module, _, name = place.partition(":")
    sys.path.insert(0, os.getcwd())
    return getattr(importlib.import_module(module), name)


def serve(function: Callable, descriptor: int) -> None:
    """Answer each line of standard input, a JSON document of parameters and seed."""
    # What the function starts must not keep the pipe open after it.
    os.set_inheritable(descriptor, False)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: dict[str, object] = {"metrics": plain(function(**asked))}
        except Exception as error:
            answer = {"error": _told(error)}
            _send(descriptor, answer)
            raise
        _send(descriptor, answer)


def plain(metrics: object) -> dict[str, float | None]:
    """What a function returned as numbers by name; None for what JSON cannot say.

    >>> plain({"loss": 2, "tokens_per_s": float("nan")})
    {'loss': 2.0, 'tokens_per_s': None}
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(f"a run returns a mapping of metrics, got {type(metrics).__name__}")
    values = {str(name): float(value) for name, value in metrics.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _told(error: Exception) -> dict[str, object]:
    from onetrip.lab.judge.failure import describe

    return describe(error, "running")


def _send(descriptor: int, answer: Mapping) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
