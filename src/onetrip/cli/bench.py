"""`onetrip bench`: our implementations and other people's, side by side on one problem."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.units import bytes_text, rate_text, read_bytes, three_digits, time_text

if TYPE_CHECKING:
    from rich.console import Console

    from onetrip.bench.side_by_side import Comparison


def register(app: typer.Typer) -> None:
    """Add `bench` to the application."""
    app.command("bench")(_bench)


def _bench(
    operator: Annotated[str, typer.Argument(help="Name of an operator.")],
    workload: Annotated[
        list[str] | None,
        typer.Option(help="Named problem; may be repeated. Default: all tagged for this device."),
    ] = None,
    recorded: Annotated[
        Path | None, typer.Option(help="File of `onetrip.record`, in place of a workload.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Peer to measure beside; may be repeated. Default: every known peer."),
    ] = None,
    impl: Annotated[
        list[str] | None, typer.Option(help="Our implementation; may be repeated.")
    ] = None,
    memory_budget: Annotated[
        list[str] | None,
        typer.Option(help="Workspace of ours, 256MiB or 4GiB; may be repeated."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda. Default: cuda where there is one.")
    ] = None,
    forward_only: Annotated[
        bool, typer.Option("--forward-only", help="Leave out the backward pass.")
    ] = False,
    samples: Annotated[int, typer.Option(help="Samples of each contender.")] = 30,
    seconds: Annotated[
        float, typer.Option(help="Time for each contender; a slow one gets fewer samples.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the inputs' values.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Append rows to RESULTS/<operator>/<device>.jsonl.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder of saved results.")] = Path("results"),
) -> None:
    """Measure implementations side by side: error first, then time, memory and ratio.

    Every contender is held against float64 truth on the same inputs, forward and backward; one
    outside the error budget is marked incorrect. Times are interleaved in one run.
    """
    import torch

    from onetrip.bench.peers import find_peers, peers_of
    from onetrip.bench.problems import resolve
    from onetrip.bench.results import append_results, results_path
    from onetrip.bench.side_by_side import BOTH, FORWARD, compare, ours, theirs
    from onetrip.cli import screen
    from onetrip.testing.contract import Case, load_operator

    parts = load_operator(operator)
    on_gpu = torch.cuda.is_available()
    device = device or ("cuda" if on_gpu else "cpu")
    if device.partition(":")[0] not in (("cpu", "cuda") if on_gpu else ("cpu",)):
        expected = "cpu or cuda" if on_gpu else "cpu, since torch sees no GPU"
        raise ArgumentError(complaint("device", expected=expected, got=repr(device)))
    target = torch.device(device)
    if recorded is not None:
        problems = [resolve(operator, recorded=recorded)]
    else:
        problems = [
            resolve(operator, name) for name in workload or _default_workloads(operator, target)
        ]
    peers = peers_of(operator) if against is None else find_peers(operator, tuple(against))
    budgets_bytes = [_read_budget(text) for text in memory_budget or ()]
    for name in impl or ():
        if name != "auto" and name not in parts.spec.implementations:
            expected = f"one of {['auto', *parts.spec.implementations]}"
            raise ArgumentError(complaint("impl", expected=expected, got=repr(name)))
    passes = (FORWARD,) if forward_only or not parts.spec.differentiable else (FORWARD, BOTH)
    found = []
    for problem in problems:
        name = problem.workload.name
        case = Case(parts, "reference", problem.workload, target)
        contenders = ours(case, impl or ("auto",), budgets_bytes) + theirs(case, peers)
        with screen.working() as say:
            say(f"{name}: preparing the problem")
            problem.prepare()
            comparison = compare(
                case,
                problem,
                contenders,
                passes=passes,
                samples=samples,
                seconds_each=seconds,
                seed=seed,
                say=lambda step, name=name: say(f"{name}: {step}"),
            )
        found.append(comparison)
        if save:
            append_results(
                results_path(operator, comparison.ceilings.name, results), comparison.rows
            )
        if not as_json:
            _print(screen.console(), comparison)
    if as_json:
        typer.echo(json.dumps([row for comparison in found for row in comparison.rows], indent=1))


def _default_workloads(operator: str, device: object) -> list[str]:
    from onetrip.core.operators import load_workloads

    tag = "smoke" if str(device) == "cpu" else "bench"
    return [workload.name for workload in load_workloads(operator, tag)]


def _read_budget(text: str) -> int:
    try:
        return read_bytes(text)
    except ValueError:
        expected = "a size such as 256MiB or 4GiB"
        raise ArgumentError(complaint("memory-budget", expected=expected, got=repr(text))) from None


def _print(console: "Console", comparison: "Comparison") -> None:
    """One table for each kind of pass."""
    from onetrip.cli import screen

    first = comparison.rows[0]
    ceilings = comparison.ceilings
    sizes = " ".join(f"{letter}={size:,}" for letter, size in first["axes"].items())
    dtype = first["dtype"]
    rate = ceilings.tflops.get(dtype)
    console.print(f"\n[bold]{first['operator']}[/]  {comparison.problem}: {sizes} {dtype}")
    console.print(
        f"on {screen.plain(first['environment']['device'])}, in this run: "
        f"{'no product' if rate is None else rate_text(rate)}, "
        f"{three_digits(ceilings.bandwidth_gbps)} GB/s"
    )
    for passes in dict.fromkeys(row["passes"] for row in comparison.rows):
        rows = [row for row in comparison.rows if row["passes"] == passes]
        lead = next((row for row in rows if row["impl"] and "speedups" in row), None)
        table = screen.table(
            "contender", ">median", ">× floor", ">memory", ">error",
            *([] if lead is None else [">speedup"]),
            title=f"{passes}: floor {time_text(rows[0]['floor_ms'])}, {rows[0]['bound']}-bound",
        )  # fmt: skip
        for row in rows:
            table.add_row(*_cells(row), *([] if lead is None else [_speedup(lead, row)]))
        console.print()
        console.print(table)
        if lead is not None:
            console.print(
                f"[dim]memory: peak over the inputs. error: share of the budget, ✗ above 1.\n"
                f"speedup: how many times faster {lead['contender']} is.[/]"
            )
    notes = screen.notes_table()
    for name, reason in _reasons(comparison):
        notes.add_row(name, screen.plain(reason))
    console.print(notes)


def _cells(row: dict[str, Any]) -> list[str]:
    share = row["worst_share"]
    error = "" if row["within_budget"] is None else "∞" if share is None else f"{share:.2g}"
    if "latency_ms" not in row:
        return [row["contender"], f"[yellow]{row['outcome']}[/]", "", "", error]
    times = row["latency_ms"]
    spread = (times["high"] - times["low"]) / 2 / times["median"]
    median = f"{time_text(times['median'])} ±{f'{spread:.0%}' if spread < 1 else '>99%'}"
    if row["outcome"] == "incorrect":
        median, error = f"[red]✗ {median}[/]", f"[red]✗ {error}[/]"
    return [
        row["contender"],
        median,
        three_digits(times["median"] / row["floor_ms"]) if row["floor_ms"] else "–",
        "–" if row["peak_bytes"] is None else bytes_text(row["peak_bytes"]),
        error,
    ]


def _speedup(lead: dict[str, Any], row: dict[str, Any]) -> str:
    """How many times faster the first of ours is than this row, with its interval."""
    speedup = lead["speedups"].get(row["contender"])
    if speedup is None:
        return ""
    low, high = speedup["low"], speedup["high"]
    colour = "green" if low > 1 else "red" if high < 1 else "default"
    return f"[{colour}]{speedup['median']:.2f}×[/] ({low:.2f}–{high:.2f})"


def _reasons(comparison: "Comparison") -> list[tuple[str, str]]:
    """Why a contender has no time, or the tensors that are outside the budget; each once."""
    found: dict[str, str] = {}
    for row in comparison.rows:
        outside = [e["message"] for e in row["errors"].values() if "message" in e]
        reason = "; ".join(outside) or row["reason"]
        if reason:
            found.setdefault(row["contender"], reason)
    return list(found.items())
