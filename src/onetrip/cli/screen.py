"""How every command prints: one console, one look of tables, one way to write a number."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or stderr, that leaves numbers uncoloured."""
    return Console(highlight=False, stderr=stderr)


def table(*columns: str, title: str | None = None) -> Table:
    """A table with a rule below its head; a column named ``">time"`` is aligned to the right."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
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


def plain(text: str) -> str:
    """`text` with its square brackets kept: a shape is not markup."""
    return escape(text)


def time(latency_ms: float) -> str:
    """Write a time in the unit that fits.

    >>> time(36.2954), time(0.00421), time(2500.0)
    ('36.3 ms', '4.21 µs', '2.50 s')
    """
    if latency_ms >= 1000:
        return f"{_three_digits(latency_ms / 1000)} s"
    if latency_ms >= 1:
        return f"{_three_digits(latency_ms)} ms"
    return f"{_three_digits(latency_ms * 1000)} µs"


def size(count_bytes: float) -> str:
    """Write a number of bytes in the unit that fits.

    >>> size(512), size(4_194_304_000), size(3 << 20)
    ('512 B', '3.91 GiB', '3.00 MiB')
    """
    if count_bytes < 1024:
        return f"{count_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count_bytes /= 1024
        if count_bytes < 1000:
            return f"{_three_digits(count_bytes)} {unit}"
    return f"{_three_digits(count_bytes / 1024)} TiB"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
