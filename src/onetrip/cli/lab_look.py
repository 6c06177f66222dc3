"""`onetrip lab status`, `wait`, `show`, `list`, `compare`, `query`: what became of it all."""

import sqlite3
from typing import TYPE_CHECKING, Annotated

import typer

from onetrip.cli.lab_options import AsJson, Database, Experiment, lab_file, opened, print_json

if TYPE_CHECKING:
    from onetrip.lab.desk.desk import Progress

NOT_DONE = 1
NOT_YET = 3


def register(lab: typer.Typer) -> None:
    """Add the commands that look to the lab."""
    lab.command("status")(_status)
    lab.command("wait")(_wait)
    lab.command("show")(_show)
    lab.command("list")(_list)
    lab.command("compare")(_compare)
    lab.command("query")(_query)


def _status(
    experiment: Annotated[
        int | None, typer.Argument(help="Number of an experiment. Default: the whole lab.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say how far one experiment is, or what the lab is doing."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk
    from onetrip.lab.views.now import now

    with opened(database) as connection:
        if experiment is not None:
            print_progress(desk.progress(connection, experiment), as_json, ends=False)
            return
        found = now(connection)
    if as_json:
        print_json(found)
    else:
        lab_screen.now(found)


def _wait(
    experiment: Experiment,
    seconds: Annotated[float, typer.Option(help="Longest wait.")] = 600.0,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Wait for a verdict; ends with 1 when it is not done, with 3 when there is none yet."""
    with opened(database) as connection:
        found = wait_until_final(connection, experiment, seconds)
    print_progress(found, as_json)


def _show(
    experiment: Experiment,
    source: Annotated[
        bool, typer.Option("--source", help="Print the source, nothing else.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show one experiment: prediction, verdict, checks, times, diff; --json has everything."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        found = desk.get_experiment(connection, experiment, raw=as_json)
    if source:
        candidate = found.get("candidate")
        typer.echo(
            (candidate.get("source") if isinstance(candidate, dict) else None) or "", nl=False
        )
    elif as_json:
        print_json(found)
    else:
        lab_screen.experiment(found)


def _list(
    query: Annotated[
        list[str] | None, typer.Argument(help="Words and field:value: state:done 'ratio:>1.1'.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Rows of a page, at most 50.")] = 20,
    cursor: Annotated[int, typer.Option(help="Where the page before ended.")] = 0,
    order: Annotated[
        str, typer.Option(help="A column; - in front: the largest first.")
    ] = "-updated",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List experiments that match a query."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        page = desk.list_experiments(
            connection, " ".join(query or ()), limit=limit, cursor=cursor, order=order
        )
    if as_json:
        print_json(page)
    else:
        lab_screen.experiments(page)


def _compare(
    experiments: Annotated[list[int], typer.Argument(help="Numbers of experiments.")],
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put experiments side by side: what differs, times with their intervals."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        found = desk.compare(connection, experiments)
    if as_json:
        print_json(found)
    else:
        lab_screen.comparison(found)


def _query(
    statement: Annotated[str, typer.Argument(help="One SELECT in SQLite's dialect.")],
    rows: Annotated[int, typer.Option(help="At most so many, up to 200.")] = 100,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Ask the lab's database with SQL; it only reads."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk

    with opened(database):
        found = desk.query_sql(lab_file(database), statement, max_rows=rows)
    if as_json:
        print_json(found)
    else:
        lab_screen.rows(found)


def wait_until_final(
    connection: sqlite3.Connection, experiment: int, seconds: float = 600.0
) -> "Progress":
    """Wait as long as a person wants to, in waits that the desk allows."""
    from onetrip.lab.desk import desk

    while True:
        piece_s = min(desk.LONGEST_WAIT_S, max(0.0, seconds))
        found = desk.wait_experiment(connection, experiment, piece_s)
        seconds -= piece_s
        if found.final or seconds <= 0:
            return found


def print_progress(found: "Progress", as_json: bool, *, ends: bool = True) -> None:
    """Print how far an experiment is, and end with the code that says the same."""
    if as_json:
        print_json(found)
    else:
        stage = f", {found.stage}" if found.stage and not found.final else ""
        reason = f": {found.reason}" if found.reason else ""
        typer.echo(f"Experiment {found.experiment}: {found.state}{stage}{reason}")
    if ends and found.state != "done":
        raise typer.Exit(NOT_DONE if found.final else NOT_YET)
