"""What came out, in one sentence."""

from onetrip.core.units import time_text
from onetrip.lab.web.wording import percent_text, ratio_text

_REJECTED = {
    "incorrect": "Wrong: its results do not hold against the float64 truth",
    "compile_error": "Did not compile",
    "crashed": "Crashed",
    "timeout": "Took longer than it was given",
    "out_of_memory": "Took more memory than it was given",
    "hacked": "Rejected: it did not do the work, or tampered with its proof",
    "infra_lost": "Its process was lost, through no fault of its own; it runs again",
    "dead": "Given up: its process was lost again and again",
    "cancelled": "Cancelled before it had an answer",
    "pruned": "Left out: what was known by then spoke against it",
    "paused": "Paused; it waits until somebody resumes it",
}


def verdict_sentence(experiment: dict) -> str:
    """One sentence on an experiment, whatever its state.

    >>> verdict_sentence({"state": "crashed", "reason": "exit code 3", "quarantined": ""})
    'Crashed: exit code 3.'
    """
    state = experiment["state"]
    if state == "queued":
        return "Waits in the queue."
    if state == "running":
        return f"Is being judged now{_stage(experiment.get('stage'))}."
    if state != "done":
        return _with_reason(_REJECTED.get(state) or str(state), experiment["reason"])
    if experiment["quarantined"]:
        return f"Right, but its times count for nothing: {experiment['quarantined'].rstrip('.')}."
    return _done(experiment)


def comparison_clause(ratio: dict) -> str:
    """What a ratio's interval allows to say.

    >>> comparison_clause({"speedup": 1.25, "low": 1.2, "high": 1.3, "baseline": "eager"})
    'faster than eager, 1.25× [1.20, 1.30]'
    >>> comparison_clause({"speedup": 1.01, "low": 0.9, "high": 1.1, "baseline": "eager"})
    'not told apart from eager, 1.01× [0.90, 1.10]'
    """
    written = ratio_text(ratio["speedup"], ratio["low"], ratio["high"])
    if ratio["low"] > 1:
        word = "faster than"
    elif ratio["high"] < 1:
        word = "slower than"
    else:
        word = "not told apart from"
    return f"{word} {ratio['baseline']}, {written}"


def _done(experiment: dict) -> str:
    parts = ["Right"]
    if experiment["median_ms"] is not None:
        parts.append(f"{time_text(experiment['median_ms'])}")
    compared = [ratio for ratio in (experiment["ratio"], experiment["best_peer"]) if ratio]
    parts += [comparison_clause(ratio) for ratio in compared]
    if experiment["floor_share"] is not None:
        parts.append(f"{percent_text(experiment['floor_share'])} of what the device allows")
    parts += [
        f"{name} {metric['value']:.4g} {metric['unit']}".rstrip()
        for name, metric in list(experiment["metrics"].items())[:3]
    ]
    return "; ".join(parts) + "."


def _stage(stage: str | None) -> str:
    return f", at the stage “{stage}”" if stage else ""


def _with_reason(sentence: str, reason: str) -> str:
    reason = " ".join(reason.split()).rstrip(".")
    return f"{sentence}: {reason}." if reason else f"{sentence}."
