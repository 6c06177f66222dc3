"""What the lab's commands print for a person: few columns, intervals beside every ratio."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from onetrip.cli.screen import console, facts_table, notes_table, plain, table
from onetrip.core.units import bytes_text, time_text
from onetrip.lab.verdict import OUT

Row = Mapping[str, Any]
_LONGEST_CELL = 80


def problems(found: Sequence[Row]) -> None:
    """The problems, one a line."""
    if not found:
        _say("No problem yet. `onetrip lab problem add PATH` adds one.")
        return
    shown = table(">#", "problem", "kind", ">experiments", ">best", "~refused")
    for row in found:
        best = row["champion"] or {}
        shown.add_row(
            str(row["id"]),
            plain(str(row["name"])),
            str(row["kind"]),
            str(sum(row["counts_by_state"].values())),
            _ms(best.get("median_ms")),
            plain(_short(row["refused"])),
        )
    console().print(shown)


def brief(found: Row) -> None:
    """A brief, as the text that a proposer reads."""
    console().print(plain(str(found["markdown"])), soft_wrap=True)


def experiments(page: Any) -> None:
    """One page of experiments, with how many there are in each state."""
    if not page.rows:
        _say("No experiment matches. `onetrip lab submit FILE` makes one.")
        return
    console().print(_experiment_table(page.rows))
    counts = ", ".join(f"{count} {state}" for state, count in page.counts_by_state.items())
    more = "" if page.next_cursor is None else f"; go on with --cursor {page.next_cursor}"
    _say(f"{page.total} in all ({counts}){more}")


def experiment(found: Row) -> None:
    """One experiment: why, prediction, verdict, times, and the diff to its parent."""
    out = console()
    notes = notes_table()
    _note(notes, "experiment", f"{found['id']}  {found.get('title')}  on {found.get('problem')}")
    _note(notes, "by", f"{found.get('proposer')}, {found.get('purpose')}")
    _note(notes, "why", found.get("why"))
    prediction = found.get("prediction")
    if prediction:
        effect = f"{prediction['direction']} of {prediction['metric']} by at least "
        effect += f"{prediction['least_effect']:.1%}"
        _note(notes, "prediction", f"{prediction['title']} ({effect}): {prediction['status']}")
        _note(notes, "", prediction.get("status_why"))
    stage = f" ({found['stage']})" if found.get("stage") else ""
    _note(notes, "state", f"{found['state']}{stage}")
    _note(notes, "reason", found.get("reason"))
    _note(notes, "time", _interval_ms(found))
    _note(notes, "floor", _share(found.get("floor_share")))
    _note(notes, "beside", "; ".join(_ratio(ratio) for ratio in found.get("ratios") or ()))
    if found.get("peak_bytes"):
        _note(notes, "peak", bytes_text(found["peak_bytes"]))
    for name, metric in (found.get("metrics") or {}).items():
        _note(notes, name, f"{metric['value']:.6g} {metric['unit']}")
    _note(notes, "quarantined", found.get("quarantined"))
    out.print(notes)
    for attempt in found.get("attempts") or ():
        _attempt(attempt)
    if found.get("diff"):
        out.print()
        out.print(plain(str(found["diff"])), soft_wrap=True)


def comparison(found: Row) -> None:
    """Experiments side by side: only what differs, then ratios against the first."""
    rows = found["experiments"]
    shown = table("", *(f"{row['id']}" for row in rows))
    for field in found["fields"]:
        if field["differs"]:
            cells = [_short(_cell(value)) for value in field["values"]]
            shown.add_row(plain(field["name"]), *(plain(cell) for cell in cells))
    console().print(shown)
    for other in found["against_first"]:
        first = rows[0]["id"]
        if "why_not" in other:
            _say(f"{other['id']} and {first} cannot be compared: {other['why_not']}")
        else:
            through = f" (through {other['through']})" if other.get("through") else ""
            _say(f"{other['id']} runs at {_ratio(other | {'baseline': first})}{through}")


def hypotheses(found: Sequence[Row]) -> None:
    """Hypotheses with their status and evidence."""
    if not found:
        _say("No hypothesis yet. `onetrip lab hypothesis declare` declares one.")
        return
    shown = table(">#", "status", ">for", ">against", "by", "~prediction")
    for row in found:
        shown.add_row(
            str(row["id"]),
            str(row["status"]),
            str(row["supports"]),
            str(row["refutes"]),
            plain(str(row["declared_by"])),
            plain(f"{row['title']} ({row['prediction']})"),
        )
    console().print(shown)


def hypothesis(found: Row) -> None:
    """One hypothesis: what was declared, what became of it, by which experiments."""
    notes = notes_table()
    _note(notes, "hypothesis", f"{found['id']}  {found['title']}")
    _note(notes, "by", found.get("declared_by"))
    _note(notes, "rationale", found.get("rationale"))
    _note(notes, "prediction", found.get("prediction"))
    _note(notes, "status", found.get("status"))
    _note(notes, "", found.get("status_why"))
    console().print(notes)
    if found.get("experiments"):
        console().print(_experiment_table(found["experiments"]))


def queue(found: Row) -> None:
    """What runs and what waits, with the reason for its place."""
    for row in found["running"]:
        _say(f"running: {row['id']} {row['title']} on {row['problem']} ({row['stage']})")
    if not found["waiting"]:
        _say("Nothing waits.")
    else:
        shown = table(">place", ">#", "problem", "candidate", ">priority", "~why here")
        for row in found["waiting"]:
            shown.add_row(
                str(row["position"]),
                str(row["id"]),
                plain(str(row["problem"])),
                plain(_short(row["title"])),
                f"{row['priority']:.3g}",
                plain(str(row["why_here"])),
            )
        console().print(shown)
    for row in found["paused"]:
        _say(f"paused: {row['id']} {row['title']} on {row['problem']}")


def now(found: Row) -> None:
    """The lab at this moment."""
    facts = facts_table()
    for state, count in sorted(found["counts_by_state"].items()):
        facts.add_row(state, str(count))
    if found["counts_by_state"]:
        console().print(facts)
    else:
        _say("No experiment yet. `onetrip lab demo` shows a campaign.")
    for row in found["running"]:
        _say(f"running: {row['id']} {row['title']} on {row['problem']} ({row['stage']})")
    for row in found["campaigns"]:
        _say(f"campaign {row['id']}: {row['title']} by {row['proposer']}")
    for row in found["champions"]:
        _say(
            f"best of {row['problem']} on {row['device']}: {row['title']} (#{row['experiment_id']})"
        )


def campaign(end: Any) -> None:
    """What a campaign tried, in order, and why it ended."""
    shown = table(">#", "state", "candidate", ">time", ">floor", "beside its parent", "prediction")
    for past in end.history:
        beside = ""
        if past.speedup is not None:
            beside = f"{past.speedup:.3g}x [{past.low:.3g}, {past.high:.3g}]"
        shown.add_row(
            str(past.experiment_id),
            past.state,
            plain(_short(past.title)),
            _ms(past.median_ms),
            _share(past.share_of_floor),
            plain(beside),
            past.hypothesis_status,
        )
    console().print(shown)
    _say(f"Campaign {end.campaign_id} ended after {end.seconds:.0f} s: {end.why}.")


def learnings(connection: sqlite3.Connection) -> None:
    """What was learned and still holds, oldest first."""
    from onetrip.lab.views.read import rows as read_rows

    found = read_rows(connection, "SELECT id, text FROM learning WHERE status = 'active'")
    if found:
        _say("\nLearned:")
    for row in found:
        _say(f"- {row['text']}")


def rows(found: Row) -> None:
    """The answer of a query."""
    shown = table(*(plain(str(column)) for column in found["columns"]))
    for row in found["rows"]:
        shown.add_row(*(plain(_short(_text(value))) for value in row))
    console().print(shown)
    if found["truncated"]:
        _say(f"The first {len(found['rows'])} rows; there are more.")


def source_of(found: Row) -> str:
    """The source of an experiment's candidate; empty for a configuration."""
    candidate = found.get("candidate")
    return str(candidate.get("source") or "") if isinstance(candidate, Mapping) else ""


def _experiment_table(rows: Sequence[Row]) -> Any:
    shown = table(">#", "state", "problem", "candidate", ">time", ">floor", "ratio", "~by")
    for row in rows:
        ratio = row.get("ratio")
        shown.add_row(
            str(row["id"]),
            str(row["state"]),
            plain(str(row["problem"])),
            plain(_short(row["title"])),
            _ms(row.get("median_ms")),
            _share(row.get("floor_share")),
            "" if ratio is None else plain(_ratio(ratio)),
            plain(str(row["proposer"])),
        )
    return shown


def _attempt(attempt: Row) -> None:
    out = console()
    ended = attempt.get("outcome") or f"running ({attempt.get('stage')})"
    reason = f": {attempt['reason']}" if attempt.get("reason") else ""
    out.print(plain(f"\nattempt {attempt['n']}: {ended}{reason}"), soft_wrap=True)
    for check in attempt.get("checks") or ():
        if not check["passed"]:
            out.print(plain(f"  {check['workload']} {check['tensor']}: {check['message']}"))
    for flag in attempt.get("flags") or ():
        out.print(plain(f"  flag {flag['rule']} ({flag['source']}): {_short(flag['evidence'])}"))
    for name, value in (attempt.get("evidence") or {}).items():
        if name.endswith(OUT):
            out.print(plain(f"  {name}: {value}"), soft_wrap=True)
    if attempt.get("invalid"):
        out.print(plain(f"  counts for nothing: {attempt['invalid']}"))


def _note(notes: Any, name: str, value: object) -> None:
    if value not in (None, ""):
        notes.add_row(name, plain(str(value)))


def _say(text: str) -> None:
    console().print(plain(text), soft_wrap=True)


def _ms(value: float | None) -> str:
    return "" if value is None else time_text(value)


def _interval_ms(row: Row) -> str:
    if row.get("median_ms") is None:
        return ""
    low, high = row.get("low_ms"), row.get("high_ms")
    around = "" if low is None or high is None else f" [{time_text(low)}, {time_text(high)}]"
    return f"{time_text(row['median_ms'])}{around}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _ratio(ratio: Row) -> str:
    """A speedup is never shown without its interval."""
    return f"{ratio['speedup']:.3g}x {ratio['baseline']} [{ratio['low']:.3g}, {ratio['high']:.3g}]"


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _text(value)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _short(value: object) -> str:
    text = " ".join(_text(value).split())
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
