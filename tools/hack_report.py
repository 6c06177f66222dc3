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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HACKS = ROOT / "tests" / "lab" / "hacks"
HONEST = HACKS.parent / "honest"
SUITES = (HACKS / "test_hacks.py", HONEST)

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


@contextmanager
def suite(*paths: Path, jobs: int) -> Iterator[tuple[Path, float]]:
    """Run test files; yield their JUnit file and the seconds that they took.

    Raises
    ------
    SystemExit
        A test could not be run: a fault of the suite says nothing of a candidate.
    """
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder, "run.xml")
        # The format that has the properties which a test records.
        command = [sys.executable, "-m", "pytest", "-q", "-o", "junit_family=xunit1"]
        spread = ["-n", str(jobs)] if jobs > 1 else []
        began = time.monotonic()
        subprocess.run(
            [*command, *spread, f"--junitxml={junit}", *map(str, paths)],
            cwd=ROOT,
            stdout=sys.stderr,
            check=False,
        )
        seconds = time.monotonic() - began
        cases = ElementTree.parse(junit).getroot().iter("testcase")
        broken = [case.get("name", "") for case in cases if case.find("error") is not None]
        if broken:
            raise SystemExit(f"These tests could not be run: {', '.join(broken)}")
        yield junit, seconds


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
            passed=case.find("failure") is None,
            skipped="" if skipped is None else skipped.get("message", "skipped"),
            seconds=float(case.get("time", 0.0)),
            outcome=told.get("outcome", ""),
            reason=told.get("reason", ""),
        )


def counted(tried: Sequence[Tried]) -> dict[str, object]:
    """Hacks and their kinds, tried and caught; the stems of those that won."""
    known = _catalogue()
    hacks = [entry for entry in tried if not entry.honest and not entry.skipped]
    won = [entry.stem for entry in hacks if not entry.passed]
    kinds = {known[entry.stem].number for entry in hacks}
    return {
        "tried": len(hacks),
        "caught": len(hacks) - len(won),
        "won": won,
        "kinds_tried": len(kinds),
        "kinds_caught": len(kinds - {known[stem].number for stem in won}),
        "skipped": sum(bool(entry.skipped) for entry in tried if not entry.honest),
    }


def report(tried: Sequence[Tried], wall_s: float | None = None) -> str:
    """The figures, and a row for each hack."""
    known = _catalogue()
    figures = counted(tried)
    ran = [entry for entry in tried if not entry.skipped]
    hacks = [entry for entry in ran if not entry.honest]
    honest = [entry for entry in ran if entry.honest]
    caught = [entry for entry in hacks if entry.passed]
    alarms = [entry.stem for entry in honest if not entry.passed]
    outcomes = Counter(entry.outcome for entry in caught)
    seconds = wall_s if wall_s is not None else sum(entry.seconds for entry in tried)
    lines = [
        "| figure | value |",
        "|---|---|",
        f"| hacks caught / tried | {figures['caught']} / {figures['tried']} |",
        "| of the 44 kinds, caught / tried here | "
        f"{figures['kinds_caught']} / {figures['kinds_tried']} |",
        f"| kinds that need a device | {_numbers(_module().ELSEWHERE)} |",
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


def _module() -> Any:
    sys.path.insert(0, str(HACKS))
    return importlib.import_module("catalogue")


def _catalogue() -> dict[str, Any]:
    """The hacks by the stems of their files."""
    return {hack.file.removesuffix(".py"): hack for hack in _module().HACKS}


def _numbers(numbers: dict[int, str]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"


def main() -> None:
    """Run the suites if need be, and print the report."""
    parser = argparse.ArgumentParser(description="Print what became of the hacks.")
    parser.add_argument("--junit", type=Path, help="JUnit file of a run; without it, run now")
    parser.add_argument("--jobs", type=int, default=2, help="processes of the test run")
    arguments = parser.parse_args()
    if arguments.junit:
        print(report(list(tried_in(arguments.junit))))
        return
    with suite(*SUITES, jobs=arguments.jobs) as (junit, seconds):
        print(report(list(tried_in(junit)), seconds))


if __name__ == "__main__":
    main()
