"""What `onetrip tune` shows while it runs: a live table in a terminal, lines elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from onetrip.cli import screen
from onetrip.core.units import bytes_text, time_text
from onetrip.lab.queue.claims import Claim
from onetrip.lab.search.ranking import Score, best, scores
from onetrip.lab.store.history import Trial
from onetrip.lab.tune.watcher import Opened, Watcher
from onetrip.lab.verdict import Comparison

_SHOWN_TRIALS = 8
_BAR_WIDTH = 40
_COLOURS = {"done": "green", "pruned": "dim", "queued": "dim", "running": "cyan"}


@contextmanager
def watching(as_json: bool) -> Iterator[Watcher]:
    """A watcher for this terminal: live, or lines; on stderr when stdout is for a document."""
    console = screen.console(stderr=as_json)
    if not console.is_terminal:
        yield LineWatcher(console)
        return
    watcher = LiveWatcher(console)
    with watcher.live:
        yield watcher


class LineWatcher(Watcher):
    """A line for each thing that happened."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._objective = "latency"
        self._stage = ""

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def preparing(self, stage: str, share: float | None) -> None:
        """Print a stage when it begins."""
        # "training, loss 7.2": what follows the comma changes too often for a line each.
        name = stage.partition(",")[0]
        if name != self._stage:
            self._stage = name
            self.note(f"{name} …")

    def opened(self, opened: Opened, trials: Sequence[Trial]) -> None:
        """Print what is searched."""
        self._objective = opened.objective
        self.note(headline(opened))
        self.note(f"{opened.points} configurations, {opened.known} known from earlier tunes")

    def judged(self, trials: Sequence[Trial], experiment_id: int) -> None:
        """Print the candidate, its answer, and why it was tried."""
        trial = next(trial for trial in trials if trial.experiment_id == experiment_id)
        leader = best(scores(trials), self._objective)
        leads = leader is not None and leader.trial.experiment_id == experiment_id
        self.note(
            f"#{experiment_id} {contender(trial.impl, trial.config)}: {_said(trial)}"
            f"{', best so far' if leads else ''} ({trial.why})"
        )


class LiveWatcher(Watcher):
    """Keeps what was last seen; `live` draws it, a few times a second and for each candidate."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots")
        self._preparing: tuple[str, float | None] = ("starting", None)
        self._opened: Opened | None = None
        self._trials: Sequence[Trial] = ()
        self._trying: tuple[Claim, str] | None = None
        self._deadline = 0.0
        # Last: it draws once as it is made.
        self.live = Live(
            get_renderable=self.render, console=console, refresh_per_second=4, transient=True
        )

    def note(self, text: str) -> None:
        """Print a line above the live part."""
        self._console.print(text, markup=False)

    def preparing(self, stage: str, share: float | None) -> None:
        """Keep the stage and its share."""
        self._preparing = (stage, share)

    def opened(self, opened: Opened, trials: Sequence[Trial]) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + opened.budget_s
        self._trials, self._opened = trials, opened

    def trying(self, claim: Claim, stage: str) -> None:
        """Show what is being tried, however short it runs."""
        self._trying = (claim, stage)
        self.live.refresh()

    def judged(self, trials: Sequence[Trial], experiment_id: int) -> None:
        """Keep the study as it stands now."""
        self._trials, self._trying = trials, None

    def render(self) -> RenderableType:
        """The whole screen."""
        if self._opened is None:
            return self._render_preparation()
        opened, trials = self._opened, self._trials
        left_s = max(self._deadline - time.monotonic(), 0.0)
        answered = sum(trial.settled for trial in trials)
        parts: list[RenderableType] = [
            Text(headline(opened), style="bold"),
            Text(),
            self._bar(
                1 - left_s / opened.budget_s,
                f"{left_s:.0f} s left, {answered} of {opened.points} configurations answered",
            ),
            Text(),
            self._render_current(),
        ]
        ranked = sorted(scores(trials), key=lambda score: score.key(opened.objective))
        if ranked:
            parts.append(_ranking(ranked[:_SHOWN_TRIALS], opened))
        parts.append(_states(trials))
        return Group(*parts)

    def _render_preparation(self) -> RenderableType:
        stage, share = self._preparing
        self._spinner.update(text=Text(f" {stage} …"))
        return self._spinner if share is None else Group(self._spinner, self._bar(share, ""))

    def _render_current(self) -> RenderableType:
        if self._trying is None:
            self._spinner.update(text=Text(" choosing the next one …"))
            return self._spinner
        claim, stage = self._trying
        self._spinner.update(
            text=Text.assemble(
                f" #{claim.experiment_id} ",
                (contender(claim.contender.impl, claim.contender.config), "cyan"),
                f"  {stage} …\n",
                (f"   {claim.why}", "dim"),
            )
        )
        return self._spinner

    def _bar(self, share: float, text: str) -> RenderableType:
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(
            ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH, complete_style="cyan"),
            text or f"{share:.0%}",
        )
        return row


def headline(opened: Opened) -> str:
    """Operator, problem, device and objective in a line."""
    sizes = " ".join(f"{letter}={size:,}" for letter, size in opened.problem.axes.items())
    return (
        f"{opened.operator}  {opened.workload}: {sizes} {opened.problem.dtype} on "
        f"{opened.problem.device_name}, for {opened.objective}"
    )


def contender(impl: str, config: Mapping[str, object]) -> str:
    """Write an implementation and its configuration.

    >>> contender("torch", {"rows": 256})
    'torch rows=256'
    """
    return " ".join([impl, *(f"{name}={value}" for name, value in config.items())])


def _said(trial: Trial) -> str:
    if trial.verdict is None or not trial.done:
        return f"{trial.state}, {trial.reason}" if trial.reason else trial.state
    own, pair = trial.verdict.timing("candidate"), trial.verdict.against("default")
    speed = "" if pair is None else f", {_speedup(pair)} the default's speed"
    return f"{time_text(own.median_ms)}{speed}" if own is not None else trial.state


def _speedup(pair: Comparison) -> str:
    return f"{pair.speedup:.2f}× ({pair.low:.2f}–{pair.high:.2f})"


def coloured(pair: Comparison | None) -> str:
    """Write a speedup with its interval: green or red where it excludes 1."""
    if pair is None:
        return ""
    colour = "green" if pair.faster else "red" if pair.slower else "default"
    return f"[{colour}]{_speedup(pair)}[/]"


def memory(peak_bytes: float | None) -> str:
    """Write a peak; a dash where none was measured."""
    return "–" if peak_bytes in (None, float("inf")) else bytes_text(float(str(peak_bytes)))


def _ranking(ranked: Sequence[Score], opened: Opened) -> Table:
    table = screen.table(">#", "~configuration", ">time", ">memory", ">× default's speed", "from")
    for place, score in enumerate(ranked):
        trial = score.trial
        table.add_row(
            str(trial.experiment_id),
            screen.plain(contender(trial.impl, trial.config)),
            time_text(score.latency_ms),
            memory(score.peak_bytes),
            coloured(None if trial.verdict is None else trial.verdict.against("default")),
            trial.proposer,
            style="bold" if place == 0 else None,
        )
    return table


def _states(trials: Sequence[Trial]) -> Text:
    text = Text()
    for state, count in Counter(trial.state for trial in trials).most_common():
        text.append(f"{count} {state.replace('_', ' ')}", style=_COLOURS.get(state, "red"))
        text.append("   ")
    return text
