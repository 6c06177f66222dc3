"""What `onetrip tune` prints at its end: baselines, best, ratio, and what became of the table."""

from collections import Counter
from pathlib import Path

from rich.table import Table

from onetrip.cli import screen
from onetrip.cli.tune_screen import coloured, contender, headline, memory
from onetrip.core.units import three_digits, time_text
from onetrip.lab.search.ranking import Score
from onetrip.lab.tune.promotion import Standing
from onetrip.lab.tune.report import floor, over_floor
from onetrip.lab.tune.session import Outcomes
from onetrip.lab.verdict import Timing


def print_result(found: Outcomes, export: Path | None) -> None:
    """Baselines, best, ratio with its interval, share of the floor, memory; then what it means."""
    console = screen.console()
    # A terminal gets whole words, a file whole lines.
    whole_lines = not console.is_terminal
    opened = found.opened
    limits = floor(found)
    console.print()
    console.print(f"[bold]{screen.plain(headline(opened))}[/]", soft_wrap=whole_lines)
    rate = opened.device.tflops_for(opened.problem.dtype)
    console.print(
        f"floor {time_text(float(str(limits['floor_ms'])))}, {limits['bound']}-bound, at "
        f"{rate:,.3g} TFLOP/s and {opened.device.bandwidth_gbps:,.3g} GB/s "
        "measured on this device"
    )
    if limits["beaten"]:
        console.print(
            "[yellow]a time lies below the floor: the ceilings were measured too low, on a busy "
            "machine most likely. Tune again when it is quiet; the highest ceilings stand.[/]",
            soft_wrap=whole_lines,
        )
    if found.leader is not None:
        console.print(_result(found, found.leader))
    mark = "[green]✓[/]" if found.decision.standing is Standing.PROMOTED else "–"
    console.print(f"{mark} {screen.plain(_conclusion(found))}", soft_wrap=whole_lines)
    if found.decision.standing is Standing.PROMOTED:
        console.print(f"  Your tuning table: {screen.plain(str(found.table))}", soft_wrap=True)
    if export is not None:
        where = f"Exported to {export}." if found.entry else f"Nothing to export to {export}."
        console.print(f"  {screen.plain(where)}", soft_wrap=True)
    console.print(f"  {_summary(found)}", soft_wrap=whole_lines)
    for trial in found.trials:
        if trial.state in ("incorrect", "crashed", "timeout", "out_of_memory", "compile_error"):
            name = contender(trial.impl, trial.config)
            reason = screen.plain(f"#{trial.experiment_id} {name}: {trial.reason}")
            console.print(f"  [red]{trial.state}[/] {reason}", soft_wrap=whole_lines)


def _result(found: Outcomes, leader: Score) -> Table:
    table = screen.table(
        "", "~configuration", ">time", ">× floor", ">peak memory", ">speedup of best"
    )
    verdict = leader.trial.verdict
    if verdict is None:
        return table
    rows = (("plain torch", "eager"), ("default", "default"), ("today", "current"))
    for name, subject in rows:
        timing = verdict.timing(subject)
        if timing is not None:
            what = "eager" if subject == "eager" else contender(timing.impl, timing.config)
            table.add_row(name, *_cells(found, timing, what), coloured(verdict.against(subject)))
    own = verdict.timing("candidate")
    if own is not None:
        table.add_row(
            "best", *_cells(found, own, contender(own.impl, own.config)), "", style="bold"
        )
    return table


def _cells(found: Outcomes, timing: Timing, what: str) -> list[str]:
    spread = (timing.high_ms - timing.low_ms) / 2 / timing.median_ms
    over = over_floor(found, timing.median_ms)
    return [
        screen.plain(what),
        f"{time_text(timing.median_ms)} ±{spread:.0%}",
        "–" if over is None else three_digits(over),
        memory(timing.peak_bytes),
    ]


def _conclusion(found: Outcomes) -> str:
    why = found.decision.why
    match found.decision.standing:
        case Standing.PROMOTED:
            impl = None if found.entry is None else found.entry.impl
            return (
                f'Promoted, {why}. From now on impl="auto" and impl="{impl}" run it for problems '
                "of about this size."
            )
        case Standing.IN_TABLE:
            return f"Already in your tuning table: {why}."
        case Standing.TABLE_STAYS:
            return f"Your tuning table stays as it is: {why}."
        case Standing.DEFAULT_STAYS:
            return f"The default stays: {why}."
        case Standing.NOT_CONFIRMED:
            return f"Not confirmed: {why}."
        case _:
            return f"No result: {why}."


def _summary(found: Outcomes) -> str:
    ends = {
        "budget": "the budget is spent",
        "exhausted": "every configuration has been tried",
        "interrupted": "stopped by you",
    }
    tried = sum(trial.campaign_id == found.campaign_id for trial in found.trials)
    states = Counter(trial.state.replace("_", " ") for trial in found.trials)
    told = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return (
        f"{tried} tried in {found.seconds:.0f} s, then {ends[found.stopped]}. "
        f"Known of this problem: {told or 'nothing'}."
    )
