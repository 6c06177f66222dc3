"""`onetrip lab queue`: what waits, in which order and why, and a person's hand in it."""

from typing import Annotated

import typer

from onetrip.cli.lab_options import AsJson, Database, Experiment, opened, print_json


def register(lab: typer.Typer) -> None:
    """Add the group `queue` to the lab."""
    group = typer.Typer(help="What waits: list, pin, pause, resume, cancel.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("pin")(_pin)
    group.command("pause")(_pause)
    group.command("resume")(_resume)
    group.command("cancel")(_cancel)
    lab.add_typer(group, name="queue")


def _list(database: Database = None, as_json: AsJson = False) -> None:
    """List what runs and what waits, in the order in which it will be taken, with the reasons."""
    from onetrip.cli import lab_screen
    from onetrip.lab.views.queue import queue

    with opened(database) as connection:
        found = queue(connection)
    if as_json:
        print_json(found)
    else:
        lab_screen.queue(found)


def _pin(
    experiment: Experiment,
    height: Annotated[
        int, typer.Option(help="Above 0: before all that is not pinned; 0 lets go.")
    ] = 1,
    database: Database = None,
) -> None:
    """Put an experiment before all others; --height 0 lets it go."""
    from onetrip.lab.queue import order

    with opened(database) as connection:
        order.pin(connection, experiment, height)
    typer.echo(f"Experiment {experiment}: {'pinned' if height else 'no longer pinned'}")


def _pause(experiment: Experiment, database: Database = None) -> None:
    """Let a waiting experiment wait until it is resumed."""
    from onetrip.lab.queue import order

    with opened(database) as connection:
        order.pause(connection, experiment)
    typer.echo(f"Experiment {experiment}: paused")


def _resume(experiment: Experiment, database: Database = None) -> None:
    """Put a paused experiment back into the queue."""
    from onetrip.lab.queue import order

    with opened(database) as connection:
        order.resume(connection, experiment)
    typer.echo(f"Experiment {experiment}: queued")


def _cancel(experiment: Experiment, database: Database = None) -> None:
    """Take an experiment out of the queue for good."""
    from onetrip.lab.queue import order

    with opened(database) as connection:
        order.cancel(connection, experiment)
    typer.echo(f"Experiment {experiment}: cancelled")
