"""`onetrip estimate`: what a problem costs, before it runs and without torch."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from onetrip.cli.estimate_pipeline import does_not_fit, show_pipeline, whole_number
from onetrip.core.cost import ITEMSIZE
from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.estimate import Estimate, default_dtype, estimate
from onetrip.core.operators import cost_options, load_spec
from onetrip.core.selection import FLOOR_ONLY
from onetrip.core.units import bytes_text, rate_text, three_digits, time_text
from onetrip.estimators.asked import names_estimators


def register(app: typer.Typer) -> None:
    """Add `estimate` to the application."""
    app.command("estimate")(_estimate)


def _estimate(
    operator: Annotated[
        str,
        typer.Argument(
            help="An operator (kmeans), an estimator (KMeans), or several joined by +: PCA+KMeans."
        ),
    ],
    sizes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="AXIS=SIZE...",
            help="Every axis: N=8192 D=2304 …, n_samples=1000. What is missing is named.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Short name of a device, a driver's name of it, or cpu.")
    ] = "h100",
    dtype: Annotated[
        str,
        typer.Option(
            help="Dtype of the floating inputs; float32 for estimators, else bfloat16.",
            show_default=False,
        ),
    ] = "",
    forward_only: Annotated[
        bool, typer.Option("--forward-only", help="Leave out the backward pass.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the floor, the compulsory bytes, and each implementation's predicted time.

    Nothing runs: the answer comes from the operator's cost and the device's ceilings. Of an
    estimator, or several in a row, a line for each stage: time, memory peak, what runs and why.
    """
    sizes = sizes or []
    if names_estimators(operator):
        if forward_only:
            expected = "left out for estimators, which have no backward pass"
            raise ArgumentError(complaint("--forward-only", expected=expected, got="given"))
        return show_pipeline(operator, sizes, device, dtype or "float32", as_json)
    dtype = dtype or default_dtype(operator)
    axes, options = parse_sizes(operator, sizes)
    if dtype not in ITEMSIZE:
        raise ArgumentError(
            complaint("dtype", expected=f"one of {sorted(ITEMSIZE)}", got=repr(dtype))
        )
    backward = not forward_only
    answer = estimate(
        operator, device=device, dtype=dtype, backward=backward, options=options, **axes
    )
    if as_json:
        typer.echo(json.dumps(_as_dict(answer), indent=1))
    else:
        _print(answer)


def parse_sizes(operator: str, sizes: list[str]) -> tuple[dict[str, int], dict[str, object]]:
    """Read ``["N=8192", "V=50257"]`` as sizes of the operator's axes, and options of its cost.

    >>> parse_sizes("linear_cross_entropy", ["N=1024", "D=64", "V=50_257"])
    ({'N': 1024, 'D': 64, 'V': 50257}, {})
    """
    spec = load_spec(operator)
    words = {spec.words.get(letter, letter): letter for letter in spec.axes}
    letters = {letter: letter for letter in spec.axes} | words
    options_known = cost_options(operator)
    example = " ".join(f"{word}=1024" for word in words)
    axes: dict[str, int] = {}
    options: dict[str, object] = {}
    for pair in sizes:
        name, _, text = pair.partition("=")
        size = whole_number(text)
        if not (name in letters or name in options_known) or size is None:
            known = f", and of {', '.join(options_known)}" if options_known else ""
            expected = f"the sizes of {operator}, as in `{example}`{known}"
            raise ArgumentError(complaint("sizes", expected=expected, got=repr(pair)))
        if name in letters:
            axes[letters[name]] = size
        else:
            options[name] = size
    return axes, options


def _as_dict(answer: Estimate) -> dict[str, object]:
    return {
        "operator": answer.operator,
        "device": answer.device.as_dict(),
        "dtype": answer.dtype,
        "axes": answer.axes,
        "backward": answer.backward,
        "flops": answer.cost.flops,
        "compulsory_bytes": answer.cost.bytes,
        "compute_ms": answer.compute_ms,
        "memory_ms": answer.memory_ms,
        "floor_ms": answer.floor_ms,
        "bound": answer.bound,
        "peak_bytes": answer.peak_bytes,
        "floor_only": answer.has_floor_only,
        "predictions": [asdict(prediction) for prediction in answer.predictions],
        "choice": {
            "impl": answer.choice.impl,
            "config": dict(answer.choice.config),
            "why": answer.choice.why,
            "evidence": answer.choice.evidence,
        },
    }


def _print(answer: Estimate) -> None:
    from onetrip.cli import screen

    console = screen.console()
    passes = ", forward and backward" if answer.backward else ", forward"
    if not load_spec(answer.operator).differentiable:
        passes = ""
    sizes = " ".join(f"{letter}={size:,}" for letter, size in answer.axes.items())
    console.print(f"[bold]{answer.operator}[/]  {sizes}  {answer.dtype}{passes}")
    device = answer.device
    kind = "measured" if device.measured else "not measured"
    console.print(
        f"on {device.name} ({kind}): {rate_text(device.tflops_for(answer.dtype))} in "
        f"{answer.dtype}, {three_digits(device.bandwidth_gbps)} GB/s\n"
    )
    facts = screen.facts_table()
    facts.add_row("operations", f"{answer.cost.flops:.3g}", time_text(answer.compute_ms))
    facts.add_row("compulsory bytes", bytes_text(answer.cost.bytes), time_text(answer.memory_ms))
    facts.add_row("[bold]floor[/]", f"{answer.bound}-bound", f"[bold]{time_text(answer.floor_ms)}")
    if answer.peak_bytes is not None:
        warning = does_not_fit(answer.peak_bytes, device.name, device.memory_bytes)
        facts.add_row("memory peak", bytes_text(answer.peak_bytes), warning)
    console.print(facts)
    console.print()
    table = screen.table("implementation", ">predicted", ">× floor", ">workspace", "~note")
    for prediction in answer.predictions:
        chosen = prediction.impl == answer.choice.impl
        note = prediction.unsupported or (f"← auto: {answer.choice.why}" if chosen else "")
        unknown = answer.has_floor_only and prediction.unsupported is None
        latency_ms = None if unknown else prediction.latency_ms
        workspace = prediction.workspace_bytes
        table.add_row(
            f"[bold]{prediction.impl}[/]" if chosen else prediction.impl,
            FLOOR_ONLY if unknown else "–" if latency_ms is None else time_text(latency_ms),
            "–" if not latency_ms or not answer.floor_ms else f"{latency_ms / answer.floor_ms:.2f}",
            "–" if workspace is None else bytes_text(workspace),
            screen.plain(note),
        )
    console.print(table)
