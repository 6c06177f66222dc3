"""The catalogue is whole, its files are there, and its verdicts can be lost."""

from pathlib import Path

import pytest
from catalogue import DEAD, ELSEWHERE, HACKS, at_least_ms, labelled, rival_below_ms

from onetrip.lab.verdict import Flag, Outcome, Timing, Verdict

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CATALOGUE = range(1, 45)


def test_each_of_the_forty_four_is_tried():
    assert {hack.number for hack in HACKS} | ELSEWHERE.keys() == set(CATALOGUE)
    for number, file in ELSEWHERE.items():
        assert f'"h{number:02d}_' in (ROOT / file).read_text(encoding="utf-8")


def test_each_candidate_is_in_the_catalogue_once():
    files = [hack.file for hack in HACKS]
    assert len(files) == len(set(files))
    assert set(files) == {path.name for path in (HERE / "candidates").glob("*.py")}
    for hack in HACKS:
        assert hack.file.startswith(f"h{hack.number:02d}_")
        assert hack.defence


def timing(subject, median_ms):
    return Timing(subject, "source", {}, (median_ms,) * 9, median_ms, median_ms, median_ms, None)


@pytest.mark.parametrize("hack", HACKS, ids=lambda hack: hack.file)
def test_a_win_is_not_taken_for_a_catch(hack):
    won = Verdict(Outcome.DONE, timings=(timing("candidate", 0.001), timing("eager", 50.0)))
    if hack.number not in (9, 17):
        assert hack.verdict_on(won)
    if hack.outcomes != DEAD:
        assert hack.verdict_on(Verdict(Outcome.CRASHED)) or Outcome.CRASHED in hack.outcomes
    assert hack.verdict_on(Verdict(Outcome.INFRA_LOST))
    assert hack.verdict_on(Verdict(Outcome.TIMEOUT))


def test_what_is_harmless_is_measured():
    slow = Verdict(Outcome.DONE, timings=(timing("candidate", 5.0), timing("eager", 0.1)))
    fast = Verdict(Outcome.DONE, timings=(timing("candidate", 0.1), timing("eager", 50.0)))
    assert at_least_ms(4.5)(slow) is None
    assert at_least_ms(4.5)(fast)
    assert rival_below_ms(25)(slow) is None
    assert rival_below_ms(25)(fast)
    assert at_least_ms(4.5)(Verdict(Outcome.DONE))
    assert rival_below_ms(25)(Verdict(Outcome.DONE))
    flagged = Verdict(Outcome.DONE, flags=(Flag("fallback", "line 15", "static"),))
    assert labelled("fallback")(flagged) is None
    assert labelled("fallback")(slow)
