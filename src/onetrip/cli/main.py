"""`onetrip`: the application that the command files register themselves with."""

import importlib
import sys
from typing import Annotated

import typer

import onetrip
from onetrip.core.errors import OnetripError

# In the order of the help text. Each file defines `register(app)` and imports torch, if at all,
# inside its command: `onetrip --help` answers at once, and without torch.
COMMANDS = ("estimate", "bench", "tune", "lab", "data", "doctor")

USER_ERROR = 2

app = typer.Typer(
    name="onetrip",
    help="Machine-learning operators that make one trip to memory, and the lab that proves them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onetrip {onetrip.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


for _command in COMMANDS:
    importlib.import_module(f"onetrip.cli.{_command}").register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; an error that the user can mend is one message and exit code 2.

    Parameters
    ----------
    arguments : what stands after ``onetrip``; None reads the command line.

    Examples
    --------
    >>> main(["--version"])
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    try:
        app(arguments, prog_name="onetrip")
    except OnetripError as error:
        print(f"onetrip: {error}", file=sys.stderr)
        raise SystemExit(USER_ERROR) from None


if __name__ == "__main__":
    main()
