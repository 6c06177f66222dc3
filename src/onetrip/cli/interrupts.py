"""How a command that runs long is stopped: Ctrl-C and SIGTERM alike, cleanly, with one code."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

INTERRUPTED = 130


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Stop as cleanly on SIGTERM as on Ctrl-C."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def until_interrupted(says: str = "") -> Iterator[None]:
    """End the command with the code of an interrupt when one comes, and a line that `says` so."""
    with terminated_as_interrupted():
        try:
            yield
        except KeyboardInterrupt:
            if says:
                typer.echo(f"onetrip: {says}", err=True)
            raise typer.Exit(INTERRUPTED) from None
