"""`onetrip lab hypothesis`: predictions, and what became of them."""

from typing import Annotated

import typer

from onetrip.cli.lab_options import AsJson, By, Database, ProblemName, opened, print_json


def register(lab: typer.Typer) -> None:
    """Add the group `hypothesis` to the lab."""
    group = typer.Typer(help="Predictions: declare, list, show.", no_args_is_help=True)
    group.command("declare")(_declare)
    group.command("list")(_list)
    group.command("show")(_show)
    lab.add_typer(group, name="hypothesis")


def _declare(
    title: Annotated[str, typer.Argument(help="The prediction, in a sentence.")],
    problem: ProblemName,
    rationale: Annotated[str, typer.Option(help="Why it should be so.")],
    metric: Annotated[str, typer.Option(help="latency_ms, peak_bytes, or a run's.")] = "latency_ms",
    direction: Annotated[str, typer.Option(help="decrease or increase.")] = "decrease",
    least_effect: Annotated[float, typer.Option(help="Relative: 0.2 is a fifth at least.")] = 0.05,
    workload: Annotated[
        list[str] | None, typer.Option(help="Where it holds; may be repeated. Default: all.")
    ] = None,
    prior: Annotated[float, typer.Option(help="How likely you hold it to be, before.")] = 0.5,
    parent: Annotated[int | None, typer.Option(help="A wider hypothesis.")] = None,
    by: By = "person",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Declare a prediction before it is measured; its status is computed, never typed."""
    from onetrip.lab.desk import desk

    with opened(database) as connection:
        found = desk.propose_hypothesis(
            connection,
            problem,
            title=title,
            rationale=rationale,
            by=by,
            metric=metric,
            direction=direction,
            least_effect=least_effect,
            workloads=workload or (),
            prior=prior,
            parent=parent,
        )
    if as_json:
        print_json(found)
    else:
        typer.echo(f"Hypothesis {found['hypothesis']}: {found['status']}")


def _list(
    status: Annotated[
        str | None, typer.Option(help="open, testing, supported, refuted, inconclusive …")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List hypotheses with what speaks for and against each."""
    from onetrip.cli import lab_screen
    from onetrip.lab.views.hypotheses import list_hypotheses

    with opened(database) as connection:
        found = list_hypotheses(connection, status)
    if as_json:
        print_json(found)
    else:
        lab_screen.hypotheses(found)


def _show(
    hypothesis: Annotated[int, typer.Argument(help="Number of a hypothesis.")],
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show one hypothesis: prediction, status with its reason, evidence."""
    from onetrip.cli import lab_screen
    from onetrip.core.errors import ArgumentError, complaint
    from onetrip.lab.views import hypotheses

    with opened(database) as connection:
        found = hypotheses.hypothesis(connection, hypothesis)
    if found is None:
        expected = "the number of a hypothesis (`onetrip lab hypothesis list`)"
        raise ArgumentError(complaint("hypothesis", expected=expected, got=hypothesis))
    if as_json:
        print_json(found)
    else:
        lab_screen.hypothesis(found)
