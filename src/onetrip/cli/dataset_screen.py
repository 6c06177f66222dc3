"""How `onetrip data` looks: a live line of progress, results, plans."""

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from onetrip.cli import screen
from onetrip.core.units import bytes_text
from onetrip.data.engine.progress import Pace
from onetrip.data.engine.progress import Progress as Told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onetrip.data.engine.account import Account
    from onetrip.data.engine.forecast import Forecast
    from onetrip.data.engine.run import Result


_AFTER_LIMITS = "Mend them, or bear more: the same command goes on."


class Live(Told):
    """A bar for the stage at hand: bytes of input, rows, rejects, rate, time left."""

    every_s = 0.2

    def __init__(self) -> None:
        super().__init__()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[said]}"),
            console=screen.console(stderr=True),
        )
        self._bar.start()
        self._shown_stage: tuple[int, str] | None = None

    def show(self, pace: Pace) -> None:
        """Move the bar; a new stage gets a new one."""
        stage = pace.position, pace.stage
        if stage != self._shown_stage:
            self._shown_stage = stage
            self._line = self._bar.add_task(f"{pace.position}/{pace.stages} {pace.stage}", said="")
        self._bar.update(
            self._line,
            total=max(pace.bytes, 1),
            completed=pace.bytes_done if pace.bytes else 1,
            said=_said(pace),
        )

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._bar.console.print(screen.plain(text))

    def close(self) -> None:
        """Leave the bars as they are."""
        self._bar.stop()


def print_result(result: "Result", as_json: bool) -> None:
    """Print what a run did: the balance of every step, and how it ended."""
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "exit_code": result.exit_code,
                    "message": result.message,
                    "rows": result.rows,
                    "ran": result.ran,
                    "dataset": str(result.dataset),
                    "damage": asdict(result.damage),
                    "accounts": {k: v.as_dict() for k, v in result.accounts.items()},
                },
                indent=1,
            )
        )
        return
    console = screen.console()
    print_accounts(result.accounts)
    damage = result.damage
    console.print(
        f"{result.rows:,} rows in {screen.plain(str(result.dataset))}; {damage.units:,} units, "
        f"{damage.bad_units:,} bad, {damage.partial_units:,} in part; "
        f"{damage.bad_rows:,} rows rejected",
        soft_wrap=True,
    )
    if damage.bad_rows or damage.bad_units or damage.partial_units:
        # To be copied into a shell: not a word of it is markup, and blanks are quoted.
        name = shlex.quote(str(result.dataset))
        typer.echo(f"Why: onetrip data quarantine list {name}")
    if result.message:
        typer.echo(f"onetrip: stopped: {result.message}. {_AFTER_LIMITS}", err=True)


def print_accounts(accounts: "Mapping[str, Account]") -> None:
    """Print the balance of every step: in, out, rejected, dropped by rule."""
    table = screen.table("step", ">rows in", ">rows out", ">rejected", ">dropped", "~of these")
    for step, account in accounts.items():
        dropped = account.dropped.most_common()
        rules = ", ".join(f"{name} {count:,}" for name, count in dropped if count)
        table.add_row(
            step,
            f"{account.rows_in:,}",
            f"{account.rows_out:,}",
            f"{account.rejected:,}",
            f"{account.dropped.total():,}",
            screen.plain(rules),
        )
    screen.console().print(table)


def print_forecast(forecast: "Forecast", as_json: bool) -> None:
    """Print what is there and what would run."""
    if as_json:
        typer.echo(json.dumps(asdict(forecast), indent=1))
        return
    console = screen.console()
    console.print(
        f"{forecast.units:,} units, {bytes_text(forecast.bytes)}; {forecast.workers} workers fit"
    )
    table = screen.table("stage", "steps", "~would")
    for stage in forecast.stages:
        table.add_row(stage.folder, " → ".join(stage.steps), stage.says)
    console.print(table)


def _said(pace: Pace) -> str:
    rate = "" if pace.rows_per_s is None else f" {pace.rows_per_s:,.0f} rows/s"
    left = "" if pace.seconds_left is None else f" {pace.seconds_left:.0f} s left"
    return (
        f"{bytes_text(pace.bytes_done)} of {bytes_text(pace.bytes)} {pace.rows:,} rows, "
        f"{pace.rejected:,} rejected{rate}{left}"
    )
