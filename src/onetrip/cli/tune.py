"""`onetrip tune`: find a faster configuration on your problem, prove it, and remember it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onetrip.cli.interrupts import INTERRUPTED, terminated_as_interrupted
from onetrip.core.errors import ArgumentError, UnsupportedError, complaint

if TYPE_CHECKING:
    from onetrip.lab.tune.session import Outcomes

NOTHING_RIGHT = 1


def register(app: typer.Typer) -> None:
    """Add `tune` to the application."""
    app.command("tune")(_tune)


def _tune(
    operator: Annotated[str, typer.Argument(help="Name of an operator.")],
    workload: Annotated[
        str | None, typer.Option(help="Named problem. Default: the operator's first, trained here.")
    ] = None,
    recorded: Annotated[
        Path | None, typer.Option(help="File of `onetrip.record`, in place of a workload.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda. Default: cuda where there is one.")
    ] = None,
    impl: Annotated[
        list[str] | None,
        typer.Option(help="Implementation to search; may be repeated. Default: all that run here."),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Time to search and confirm: 120s, 5m. Training is not counted.")
    ] = "120s",
    candidate_limit: Annotated[
        str | None,
        typer.Option(
            help="Time after which a candidate is killed. Default: thrice the slowest so far."
        ),
    ] = None,
    objective: Annotated[
        str, typer.Option(help="latency, memory, or pareto: faster at no more memory.")
    ] = "latency",
    seed: Annotated[int, typer.Option(help="Of the search; inputs are always new.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Also write the winner into this shipped tuning table.")
    ] = None,
) -> None:
    """Search configurations on a real problem; put a confirmed winner into your tuning table.

    Each candidate runs in a process that its crash takes alone, is held against float64 truth on
    inputs that it never saw, and is timed beside plain torch and the default. Everything is kept: a
    second tune goes on where the first one ended, also after Ctrl-C or a crash.
    """
    if sys.platform == "win32":
        raise UnsupportedError("`onetrip tune` needs Linux or macOS; on Windows, run it in WSL.")
    if device not in (None, "cpu", "cuda"):
        raise ArgumentError(complaint("device", expected="cpu or cuda", got=repr(device)))
    from onetrip.cli.tune_result import print_result
    from onetrip.cli.tune_screen import watching
    from onetrip.lab.tune.request import TuneRequest
    from onetrip.lab.tune.session import tune

    limit_s = None if candidate_limit is None else read_seconds("candidate-limit", candidate_limit)
    request = TuneRequest(
        operator=operator,
        workload=workload,
        recorded=recorded,
        device_kind=device,
        impls=tuple(impl or ()),
        objective=objective,
        budget_s=read_seconds("budget", budget),
        candidate_limit_s=limit_s,
        seed=seed,
    )
    with terminated_as_interrupted(), watching(as_json) as watcher:
        try:
            found = tune(request, watcher)
        except KeyboardInterrupt:
            watcher.note("Stopped. What was prepared and found so far is kept.")
            raise typer.Exit(INTERRUPTED) from None
    _export(found, export)
    if as_json:
        from onetrip.lab.tune.report import document

        typer.echo(json.dumps(document(found), indent=1, allow_nan=False))
    else:
        print_result(found, export)
    if found.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if found.leader is None:
        raise typer.Exit(NOTHING_RIGHT)


def read_seconds(name: str, text: str) -> float:
    """Read a time that a person typed.

    >>> read_seconds("budget", "90"), read_seconds("budget", "1.5m"), read_seconds("budget", "2h")
    (90.0, 90.0, 7200.0)
    """
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:])
    number = text if factor is None else text[:-1]
    try:
        seconds = float(number) * (factor or 1.0)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise ArgumentError(complaint(name, expected="a time such as 120s or 5m", got=repr(text)))
    return seconds


def _export(found: "Outcomes", path: Path | None) -> None:
    from onetrip.core import tuning

    if path is not None and found.entry is not None:
        tuning.record_winner(path, found.entry)
