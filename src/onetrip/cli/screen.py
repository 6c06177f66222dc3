"""How every command prints: one console, one look of tables."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_FILE_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or stderr, that leaves numbers uncoloured; wide into a file."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(highlight=False, stderr=stderr, width=None if stream.isatty() else _FILE_WIDTH)


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done: a live line in a terminal, else a line for each step.

    Yields
    ------
    callable
        To be told the step that begins.
    """
    stderr = console(stderr=True)
    if not stderr.is_terminal:
        yield lambda step: stderr.print(plain(step), soft_wrap=True)
        return
    with stderr.status("…") as status:
        yield lambda step: status.update(f"{plain(step)} …")


def table(*columns: str, title: str | None = None) -> Table:
    """A table with a rule below its head.

    A column named ``">time"`` is aligned to the right; one named ``"~note"`` wraps where the
    terminal ends, and no other does.
    """
    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=title, title_justify="left"
    )
    for column in columns:
        made.add_column(
            column.lstrip("><~"),
            justify="right" if column.startswith(">") else "left",
            no_wrap=not column.startswith("~"),
            overflow="fold",
        )
    return made


def facts_table() -> Table:
    """A table without a head: what, and its values to the right."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    made.add_column()
    made.add_column(justify="right")
    made.add_column(justify="right")
    return made


def notes_table() -> Table:
    """A table without a head: a name, and a text that wraps beside it."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    return made


def plain(text: str) -> str:
    """`text` with its square brackets kept: a shape is not markup."""
    return escape(text)
