"""`onetrip data status`, `stats`, `steps`, `quarantine`: look at a dataset, and what there is."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from onetrip.cli import screen
from onetrip.core.units import bytes_text

_Dataset = Annotated[Path, typer.Argument(help="Folder that `onetrip data run` writes to.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(data: typer.Typer) -> None:
    """Add these commands to the group."""
    data.command("status")(_status)
    data.command("stats")(_stats)
    data.command("steps")(_steps)
    quarantine = typer.Typer(
        help="What was set aside, why, and how to try again.", no_args_is_help=True
    )
    quarantine.command("list")(_list)
    quarantine.command("show")(_show)
    quarantine.command("retry")(_retry)
    data.add_typer(quarantine, name="quarantine")


def _status(dataset: _Dataset, as_json: _Json = False) -> None:
    """Print how far the last run is, stage by stage, also while it runs."""
    from onetrip.data.store.status import last_run

    run = last_run(dataset)
    if as_json:
        stages = [
            asdict(stage) | {"accounts": {k: v.as_dict() for k, v in stage.accounts.items()}}
            for stage in run.stages
        ]
        typer.echo(json.dumps(asdict(run) | {"stages": stages}, indent=1))
        return
    console = screen.console()
    units = ", ".join(f"{count:,} {state}" for state, count in run.units.items())
    console.print(f"[bold]{run.state}[/]  {screen.plain(run.input)}  units: {units or 'none yet'}")
    if run.message:
        console.print(screen.plain(run.message), soft_wrap=True)
    table = screen.table(
        "stage", "state", ">tasks", ">input", ">rows in", ">rows out", ">rejected", ">left"
    )
    for stage in run.stages:
        accounts = list(stage.accounts.values())
        failed = f" ({stage.failed} failed)" if stage.failed else ""
        left = "" if stage.seconds_left is None else f"{stage.seconds_left:.0f} s"
        table.add_row(
            stage.name,
            stage.state,
            f"{stage.done}/{stage.tasks}{failed}",
            f"{bytes_text(stage.bytes_done)} of {bytes_text(stage.bytes)}",
            f"{accounts[0].rows_in:,}" if accounts else "",
            f"{accounts[-1].rows_out:,}" if accounts else "",
            f"{sum(account.rejected for account in accounts):,}" if accounts else "",
            left,
        )
    console.print(table)


def _stats(dataset: _Dataset, as_json: _Json = False) -> None:
    """Print the balance of every step of the last run, rule by rule, and what else was counted."""
    from onetrip.cli.dataset_screen import print_accounts
    from onetrip.data.store.dataset import open_finished

    finished = open_finished(dataset)
    if as_json:
        accounts = {step: account.as_dict() for step, account in finished.accounts.items()}
        typer.echo(json.dumps({"rows": finished.rows, "accounts": accounts}, indent=1))
        return
    print_accounts(finished.accounts)
    console = screen.console()
    for step, account in finished.accounts.items():
        if account.counts:
            told = ", ".join(f"{name} {count:,}" for name, count in account.counts.most_common())
            console.print(f"{step}: {screen.plain(told)}", soft_wrap=True)


def _steps(
    name: Annotated[str | None, typer.Argument(help="One step or source, in full.")] = None,
    as_json: _Json = False,
) -> None:
    """Print the steps and sources that a recipe may name; with a name, its parameters."""
    from onetrip.data.describe import describe, described

    if name is not None:
        kind = describe(name)
        if as_json:
            typer.echo(json.dumps(asdict(kind), indent=1))
            return
        typer.echo(f"{kind.name} ({kind.kind}, version {kind.version})\n\n{kind.help}\n")
        for parameter, default in kind.parameters.items():
            typer.echo(f"{parameter}: {default}")
        return
    everything = described()
    if as_json:
        typer.echo(json.dumps([asdict(kind) for kind in everything], indent=1))
        return
    table = screen.table("name", "kind", "~what")
    for kind in everything:
        table.add_row(kind.name, kind.kind, screen.plain(kind.summary))
    screen.console().print(table)


def _list(dataset: _Dataset, as_json: _Json = False) -> None:
    """Print how often each code was met at each stage, with an example."""
    from onetrip.data.store.quarantine import groups

    found = groups(dataset)
    if as_json:
        typer.echo(json.dumps([asdict(group) for group in found], indent=1))
        return
    table = screen.table("code", "stage", ">entries", ">units", "~for example")
    for group in found:
        table.add_row(
            group.code,
            group.step,
            f"{group.entries:,}",
            f"{group.units:,}",
            screen.plain(group.example),
        )
    screen.console().print(table if found else "Nothing was set aside.")


def _show(
    dataset: _Dataset,
    code: Annotated[str, typer.Option(help="Only entries with this code.")] = "",
    unit: Annotated[str, typer.Option(help="Only entries of this unit.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 20,
    as_json: _Json = False,
) -> None:
    """Print entries: unit, line, code, column, message and the text as it was read."""
    from onetrip.data.store.quarantine import entries

    found = entries(dataset, code=code, unit=unit, limit=limit)
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in found], indent=1))
        return
    if not found:
        typer.echo("No such entry: `onetrip data quarantine list` has the codes that there are.")
    for entry in found:
        column = f" {entry.column}" if entry.column else ""
        place = f"{entry.unit_id}:{entry.line}" if entry.line else entry.unit_id
        typer.echo(f"{entry.code} {place}{column}: {entry.message}")
        if entry.raw:
            typer.echo(f"    {entry.raw[:500]!r}")


def _retry(dataset: _Dataset) -> None:
    """Forget what was set aside as a whole, so that the next run reads it again."""
    from onetrip.data.store.quarantine import retry

    typer.echo(f"{retry(dataset)} tasks will be done again by the next run")
