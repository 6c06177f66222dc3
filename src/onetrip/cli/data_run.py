"""`onetrip data run`: a recipe over a folder, with limits, progress and a plan to look at first."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onetrip.cli.interrupts import until_interrupted
from onetrip.core.errors import ArgumentError, complaint

GOES_ON = "interrupted. What is done is kept: the same command goes on."

if TYPE_CHECKING:
    from onetrip.data.engine.progress import Progress
    from onetrip.data.engine.run import Result


def register(data: typer.Typer) -> None:
    """Add `run` to the group."""
    data.command("run")(_run)


def _run(
    recipe: Annotated[str, typer.Argument(help="YAML file, or the name of a shipped recipe: oas.")],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Folder of units, or one file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the dataset; made where missing.")
    ],
    workers: Annotated[
        int | None, typer.Option(help="Processes. Default: as many as cores and memory bear.")
    ] = None,
    memory: Annotated[str, typer.Option(help="Bound on all processes together.")] = "2GB",
    executor: Annotated[
        str, typer.Option(help="local, ray, or inline: no other process.")
    ] = "local",
    rank: Annotated[int, typer.Option(help="Of an array of Slurm: which one this is, from 0.")] = 0,
    world: Annotated[int, typer.Option(help="Of an array of Slurm: how many there are.")] = 1,
    max_bad_rows: Annotated[
        str, typer.Option(help="Share or number of rejected rows that a run bears.")
    ] = "1%",
    max_bad_units: Annotated[
        str, typer.Option(help="Share or number of unreadable units that a run bears.")
    ] = "5%",
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first bad row or unit.")
    ] = False,
    progress: Annotated[
        str | None,
        typer.Option(help="rich, plain, json or none. Default: rich in a terminal, else plain."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is there and what would run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run a recipe over a folder of files into Parquet shards; go on where it ended before.

    Exit code 0: nothing was set aside. 3: something was, within the limits. 4: more than the
    limits bear. 130: stopped by Ctrl-C; finished tasks are kept, as after any crash, and the same
    command goes on.
    """
    if dry_run:
        _print_plan(recipe, source, output, memory, as_json)
        return
    from onetrip.data.engine.run import run

    with until_interrupted(GOES_ON):
        result = run(
            recipe,
            source,
            output,
            workers=workers,
            memory=memory,
            executor=executor,
            max_bad_rows=max_bad_rows,
            max_bad_units=max_bad_units,
            strict=strict,
            progress=progress_named(progress),
            rank=rank,
            world=world,
        )
    _print_result(result, as_json)
    raise typer.Exit(result.exit_code)


def progress_named(name: str | None) -> "Progress":
    """The way to show progress that a person asks for."""
    from onetrip.data.engine.progress import JsonLines, Plain, Silent

    if name is None:
        name = "rich" if sys.stderr.isatty() else "plain"
    if name == "rich":
        from onetrip.cli.dataset_screen import Live

        return Live()
    kinds = {"plain": Plain, "json": JsonLines, "none": Silent}
    if name not in kinds:
        expected = f"one of rich, {', '.join(kinds)}"
        raise ArgumentError(complaint("progress", expected=expected, got=repr(name)))
    return kinds[name]()


def _print_plan(recipe: str, source: Path, output: Path, memory: str, as_json: bool) -> None:
    from onetrip.cli.dataset_screen import print_forecast
    from onetrip.data.engine.forecast import forecast

    print_forecast(forecast(recipe, source, output, memory=memory), as_json)


def _print_result(result: "Result", as_json: bool) -> None:
    from onetrip.cli.dataset_screen import print_result

    print_result(result, as_json)
