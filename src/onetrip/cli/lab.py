"""`onetrip lab`: the laboratory. Each group of its commands has a file of its own."""

import importlib

import typer

# In the order of the help text. Each defines `register(lab)` and imports the lab inside its
# commands: `onetrip --help` answers at once, and without the lab's extra.
GROUPS = (
    "lab_demo",
    "lab_serve",
    "lab_problem",
    "lab_propose",
    "lab_look",
    "lab_hypothesis",
    "lab_queue",
    "lab_work",
    "lab_agent",
    "lab_search",
    "lab_export",
)


def register(app: typer.Typer) -> None:
    """Add `lab` and everything under it to the application."""
    lab = typer.Typer(
        help="Experiments that prove themselves: propose, judge, time, learn, show.",
        no_args_is_help=True,
    )
    for group in GROUPS:
        importlib.import_module(f"onetrip.cli.{group}").register(lab)
    app.add_typer(lab, name="lab")
