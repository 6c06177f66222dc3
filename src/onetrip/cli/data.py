"""`onetrip data`: datasets larger than memory. Each group of its commands has a file of its own."""

import importlib
from pathlib import Path

import typer

# Besides these, every file beside this one called data_*.py adds its commands: each defines
# `register(data)` and imports what it runs inside its commands.
_FIRST = ("data_run", "data_look")


def register(app: typer.Typer) -> None:
    """Add `data` and everything under it to the application."""
    data = typer.Typer(
        help="Datasets larger than memory: files in, columns out, one trip from disk.",
        no_args_is_help=True,
    )
    others = sorted({path.stem for path in Path(__file__).parent.glob("data_*.py")} - {*_FIRST})
    for group in (*_FIRST, *others):
        importlib.import_module(f"onetrip.cli.{group}").register(data)
    app.add_typer(data, name="data")
