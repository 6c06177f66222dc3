"""`onetrip lab problem`: what can be worked on."""

from pathlib import Path
from typing import Annotated

import typer

from onetrip.cli.lab_options import AsJson, Database, json_object, opened, print_json
from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.operators import operator_names

KINDS = ("operator", "folder", "kernelbench", "run")


def register(lab: typer.Typer) -> None:
    """Add the group `problem` to the lab."""
    group = typer.Typer(help="What can be worked on: add, list, brief.", no_args_is_help=True)
    group.command("add")(_add)
    group.command("list")(_list)
    group.command("brief")(_brief)
    lab.add_typer(group, name="problem")


def _add(
    location: Annotated[
        str, typer.Argument(help="An operator's name, or the path of a folder or file.")
    ],
    kind: Annotated[
        str | None,
        typer.Option(help="operator, folder, kernelbench or run. Default: from the location."),
    ] = None,
    options: Annotated[
        str, typer.Option("--options", help='JSON: {"workload": "ragged"} of an operator.')
    ] = "{}",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Load a problem, test it with wrong answers, and put it into the lab.

    A problem that accepts zeros or noise is refused, with the reason.
    """
    from onetrip.cli import screen
    from onetrip.lab.problems.facts import facts_of
    from onetrip.lab.problems.problem import ProblemRef
    from onetrip.lab.queue.submit import add_problem

    found = kind or kind_of(location)
    if found not in KINDS:
        raise ArgumentError(complaint("kind", expected=f"one of {', '.join(KINDS)}", got=found))
    place = location if found == "operator" else str(Path(location).resolve())
    known = place in operator_names() if found == "operator" else Path(place).exists()
    if not known:
        expected = f"a folder or file that exists, or one of {list(operator_names())}"
        raise ArgumentError(complaint("location", expected=expected, got=location))
    with screen.working() as say:
        say(f"loading {location} and trying wrong answers on it")
        facts = facts_of(ProblemRef(found, place, json_object("options", options)))
    with opened(database) as connection:
        problem_id = add_problem(connection, facts)
    if as_json:
        print_json({"problem": problem_id, "name": facts.name, "refused": facts.refused})
    elif facts.refused:
        typer.echo(f"Problem {problem_id}, {facts.name}, is refused: {facts.refused}")
    else:
        typer.echo(f"Problem {problem_id}: {facts.name}")
    if facts.refused:
        raise typer.Exit(1)


def _list(database: Database = None, as_json: AsJson = False) -> None:
    """List the problems with their best so far."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        found = desk.list_problems(connection)
    if as_json:
        print_json(found)
    else:
        lab_screen.problems(found)


def _brief(
    problem: Annotated[str, typer.Argument(help="Number or name of a problem.")],
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Print what a proposer should know: definition, floor, best so far, failures, learnings."""
    from onetrip.cli import lab_screen
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        found = desk.get_brief(connection, problem)
    if as_json:
        print_json(found)
    else:
        lab_screen.brief(found)


def kind_of(location: str) -> str:
    """The kind of problem that a location most likely names.

    >>> [kind_of(name) for name in ("linear_cross_entropy", "level1/1_matmul.py", "train.toml")]
    ['operator', 'kernelbench', 'run']
    """
    path = Path(location)
    if path.is_dir():
        return "run" if (path / "run.toml").exists() else "folder"
    if path.suffix in (".toml", ".yml", ".yaml"):
        return "run"
    return "kernelbench" if path.suffix == ".py" else "operator"
