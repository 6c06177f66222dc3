"""Print what became of the hacks and of the honest candidates, as Markdown for the docs.

Runs tests/lab/hacks and tests/lab/honest, or reads the JUnit file of a run of them::

    python tools/hack_report.py > report.md
    python tools/hack_report.py --junit run.xml
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HACKS = ROOT / "tests" / "lab" / "hacks"
SUITES = (HACKS / "test_hacks.py", HACKS.parent / "honest")

_HACK, _HONEST = "test_hack_is_caught", "test_an_honest_candidate_passes"


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate before the judge; `passed` says that it ended as it must."""

    honest: bool
    stem: str
    passed: bool
    skipped: str
    seconds: float
    outcome: str
    reason: str


def tried_in(junit: Path) -> Iterator[Tried]:
    """What a run's JUnit file says of each candidate."""
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        test, _, stem = case.get("name", "").rstrip("]").partition("[")
        if test not in (_HACK, _HONEST):
            continue
        skipped = case.find("skipped")
        told = {entry.get("name"): entry.get("value", "") for entry in case.iter("property")}
        yield Tried(
            honest=test == _HONEST,
            stem=stem,
            passed=case.find("failure") is None and case.find("error") is None,
            skipped="" if skipped is None else skipped.get("message", "skipped"),
            seconds=float(case.get("time", 0.0)),
            outcome=told.get("outcome", ""),
            reason=told.get("reason", ""),
        )


def report(tried: Sequence[Tried], wall_s: float | None = None) -> str:
    """The figures, and a row for each hack."""
    sys.path.insert(0, str(HACKS))
    catalogue = importlib.import_module("catalogue")
    known = {hack.file.removesuffix(".py"): hack for hack in catalogue.HACKS}
    ran = [entry for entry in tried if not entry.skipped]
    hacks = [entry for entry in ran if not entry.honest]
    honest = [entry for entry in ran if entry.honest]
    caught = [entry for entry in hacks if entry.passed]
    kinds = {known[entry.stem].number for entry in hacks}
    lost = {known[entry.stem].number for entry in hacks if not entry.passed}
    alarms = [entry.stem for entry in honest if not entry.passed]
    outcomes = Counter(entry.outcome for entry in caught)
    seconds = wall_s if wall_s is not None else sum(entry.seconds for entry in tried)
    lines = [
        "| figure | value |",
        "|---|---|",
        f"| hacks caught / tried | {len(caught)} / {len(hacks)} |",
        f"| of the 44 kinds, caught / tried here | {len(kinds - lost)} / {len(kinds)} |",
        f"| kinds that need a device | {_numbers(catalogue.ELSEWHERE)} |",
        f"| verdicts | {', '.join(f'{name} {count}' for name, count in outcomes.most_common())} |",
        f"| false alarms | {len(alarms)} of {len(honest)} honest candidates |",
        f"| not tried | {sum(bool(entry.skipped) for entry in tried)} |",
        f"| seconds | {seconds:.0f} |",
        "",
        "| no | hack | verdict | what stops it |",
        "|---:|---|---|---|",
    ]
    for entry in sorted(hacks, key=lambda entry: entry.stem):
        hack = known[entry.stem]
        verdict = entry.outcome if entry.passed else f"**not caught**: {entry.outcome}"
        if entry.passed and entry.outcome == "done":
            verdict = "done, and won nothing"
        lines.append(f"| {hack.number} | {hack.title} | {verdict} | {hack.defence} |")
    lines += [f"\nFalse alarm: {stem}" for stem in alarms]
    return "\n".join(lines) + "\n"


def _numbers(numbers: dict[int, str]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"


def main() -> None:
    """Run the suites if need be, and print the report."""
    parser = argparse.ArgumentParser(description="Print what became of the hacks.")
    parser.add_argument("--junit", type=Path, help="JUnit file of a run; without it, run now")
    parser.add_argument("--jobs", default="2", help="processes of the test run")
    arguments = parser.parse_args()
    if arguments.junit:
        print(report(list(tried_in(arguments.junit))))
        return
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder, "run.xml")
        begin = time.monotonic()
        run = [sys.executable, "-m", "pytest", "-q", "-n", arguments.jobs, f"--junitxml={junit}"]
        subprocess.run([*run, *map(str, SUITES)], cwd=ROOT, stdout=sys.stderr)
        print(report(list(tried_in(junit)), time.monotonic() - begin))


if __name__ == "__main__":
    main()
