"""A problem's brief as one Markdown text, for a reader or a model's prompt."""

from onetrip.core.units import bytes_text, rate_text, time_text
from onetrip.lab.views.experiments import title_of

_LONGEST_LEARNING = 600


def markdown(brief: dict) -> str:
    """The parts of `problems.brief` in the order in which one needs them."""
    problem = brief["problem"]
    parts = [
        brief["definition"].strip() or f"# {problem['name']}",
        _refused(problem),
        _section("Floor", _floors(brief["devices"])),
        _section("Device", _devices(brief["devices"])),
        _section("Best so far", _best(brief)),
        _section("What failed, and why", _failures(brief["failures"])),
        _section("What is known", _learnings(brief["learnings"])),
        _section("Hypotheses that wait for evidence", _hypotheses(brief["hypotheses"])),
        _section("Hypotheses that are decided", _hypotheses(brief["decided"])),
        _section("Budget", _budget(brief["campaigns"])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _refused(problem: dict) -> str:
    return f"**Refused: {problem['refused']}.** Nothing can be submitted." * bool(
        problem["refused"]
    )


def _floors(devices: list[dict]) -> list[str]:
    return [
        f"- {place['device']}, {floor['workload'] or 'all'}: {time_text(floor['floor_ms'])} "
        f"({floor['bound']} bound: {time_text(floor['compute_ms'])} of arithmetic, "
        f"{time_text(floor['memory_ms'])} of memory)"
        for place in devices
        for floor in place["floors"]
    ]


def _devices(devices: list[dict]) -> list[str]:
    lines = []
    for place in devices:
        ceilings = place["ceilings"]
        if ceilings is None:
            continue
        rates = ", ".join(
            f"{dtype} {rate_text(tflops)}" for dtype, tflops in sorted(ceilings["tflops"].items())
        )
        how = "measured" if ceilings["measured"] else "by its datasheet"
        lines.append(
            f"- {place['device']} ({place['kind']}, arch {place['arch']}), {how}: {rates}; "
            f"{ceilings['bandwidth_gbps']:.0f} GB/s; {bytes_text(ceilings['memory_bytes'])}"
        )
        versions = [
            f"{name} {place['environment'][name]}"
            for name in ("python", "torch", "triton", "cuda", "driver", "threads")
            if place["environment"].get(name)
        ]
        if versions:
            lines.append(f"  with {', '.join(versions)}")
    return lines


def _best(brief: dict) -> list[str]:
    lines = [
        f"- champion on {row['device']}: candidate {row['candidate_id']} "
        f"({_name(row)}), experiment #{row['experiment_id']}, {_figures(row)}"
        for row in brief["champions"]
    ]
    lines += [
        f"- #{row['id']}, candidate {row['candidate_id']} ({_name(row)}): {_figures(row)}"
        for row in brief["best"]
    ]
    return lines


def _figures(row: dict) -> str:
    said = []
    if row.get("median_ms") is not None:
        low, high = time_text(row["low_ms"]), time_text(row["high_ms"])
        said.append(f"{time_text(row['median_ms'])} [{low}, {high}]")
    if row.get("floor_share") is not None:
        said.append(f"{row['floor_share'] * 100:.0f} % of the floor's rate")
    ratio = row.get("ratio")
    if ratio:
        interval = f"[{ratio['low']:.2f}, {ratio['high']:.2f}]"
        said.append(f"{ratio['speedup']:.2f} times {ratio['baseline']} {interval}")
    said += [
        f"{name} {metric['value']:.4g} {metric['unit']}".strip()
        for name, metric in (row.get("metrics") or {}).items()
    ]
    return ", ".join(said) or "not measured"


def _name(row: dict) -> str:
    return title_of(row)[:80]


def _failures(failures: list[dict]) -> list[str]:
    return [
        f"- {group['count']} × {group['state']}: {group['example'] or 'no reason given'} "
        f"({', '.join(f'#{number}' for number in group['experiments'])})"
        for group in failures
    ]


def _learnings(learnings: list[dict]) -> list[str]:
    return [
        f"- ({learning['confidence']:.0%}) {_one_line(learning['text'])} [learning "
        f"{learning['id']}, {learning['created_by']}]"
        for learning in learnings
    ]


def _hypotheses(found: list[dict]) -> list[str]:
    return [
        f"- {idea['id']}. {idea['title']}: {idea['prediction']}. {idea['status']}: "
        f"{idea['status_why']}"
        for idea in found
    ]


def _budget(campaigns: list[dict]) -> list[str]:
    lines = []
    for campaign in campaigns:
        left = ", ".join(f"{amount:.4g} {kind}" for kind, amount in campaign["left"].items())
        lines.append(
            f"- {campaign['title']}: "
            + (campaign["exhausted"] or f"{left or 'without a limit'}{' left' * bool(left)}")
        )
    return lines


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_LEARNING else line[: _LONGEST_LEARNING - 1] + "…"
