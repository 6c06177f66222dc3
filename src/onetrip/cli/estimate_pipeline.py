"""What `onetrip estimate` prints of estimators: a line for each stage, and their sum."""

import json
from dataclasses import asdict

import typer

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.selection import FLOOR_ONLY
from onetrip.core.units import bytes_text, time_text
from onetrip.estimators.pipeline_cost import PipelineEstimate, estimate_pipeline


def show_pipeline(steps: str, sizes: list[str], device: str, dtype: str, as_json: bool) -> None:
    """Estimate the steps and print what was found."""
    answer = estimate_pipeline(steps, device=device, dtype=dtype, **_parse(sizes))
    if as_json:
        typer.echo(json.dumps(_as_dict(answer), indent=1))
    else:
        _print(steps, answer)


def _parse(sizes: list[str]) -> dict[str, int]:
    found = {}
    for pair in sizes:
        word, _, text = pair.partition("=")
        size = whole_number(text)
        if not word.isidentifier() or size is None:
            expected = "whole numbers, as in `n_samples=1000 n_features=64 pca__n_components=16`"
            raise ArgumentError(complaint("sizes", expected=expected, got=repr(pair)))
        found[word] = size
    return found


def whole_number(text: str) -> int | None:
    """The number that `text` says, 0 or more, or None where it says none.

    >>> whole_number("1_000"), whole_number("1e6"), whole_number("0.5"), whole_number("-3")
    (1000, 1000000, None, None)
    """
    if text.replace("_", "").isdecimal():
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number >= 0 and number.is_integer() else None


def _as_dict(answer: PipelineEstimate) -> dict[str, object]:
    return {
        "device": answer.device.as_dict(),
        "dtype": answer.dtype,
        "latency_ms": answer.latency_ms,
        "is_complete": answer.is_complete,
        "floor_ms": answer.floor_ms,
        "peak_bytes": answer.peak_bytes,
        "stages": [asdict(stage) for stage in answer.stages],
    }


def _print(steps: str, answer: PipelineEstimate) -> None:
    from onetrip.cli import screen

    console = screen.console()
    console.print(f"[bold]{steps}[/]  {answer.dtype}, on {answer.device.name}\n")
    table = screen.table("stage", ">predicted", ">floor", ">memory peak", "runs", "~why")
    for stage in answer.stages:
        times = f" × {stage.times:,}" if stage.times > 1 else ""
        runs = f"{stage.operator}, {stage.impl}" if stage.impl else "–"
        floor_ms, latency_ms = stage.floor_ms, stage.latency_ms
        unknown = "–" if floor_ms is None else FLOOR_ONLY
        table.add_row(
            f"{stage.step} {stage.does}{times}",
            unknown if latency_ms is None else time_text(latency_ms),
            "–" if floor_ms is None else time_text(floor_ms),
            "–" if stage.peak_bytes is None else bytes_text(stage.peak_bytes),
            runs,
            screen.plain(stage.why),
        )
    total_ms = answer.latency_ms
    at_least = "" if answer.is_complete else "at least "
    table.add_row(
        "[bold]all[/]",
        FLOOR_ONLY if total_ms is None else f"[bold]{at_least}{time_text(total_ms)}[/]",
        f"[bold]{time_text(answer.floor_ms)}[/]",
        f"[bold]{bytes_text(answer.peak_bytes)}[/]",
        "",
        does_not_fit(answer.peak_bytes, answer.device.name, answer.device.memory_bytes),
    )
    console.print(table)


def does_not_fit(peak_bytes: int, device: str, memory_bytes: int) -> str:
    """A warning where a peak is more than a device has; "" where it fits.

    >>> does_not_fit(3 * 2**30, "toy", 2**30)
    'does not fit the 1.00 GiB of toy'
    """
    fits = peak_bytes <= memory_bytes
    return "" if fits else f"does not fit the {bytes_text(memory_bytes)} of {device}"
