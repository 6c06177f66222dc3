"""The figures of the docs come from a run, and a hack that won is not hidden."""

from hack_report import report, tried_in

RUN = """<testsuites><testsuite name="pytest" tests="6">
<testcase name="test_hack_is_caught[h01_late_thread]" time="2.5"><properties>
<property name="outcome" value="hacked"/><property name="reason" value="late write"/>
</properties></testcase>
<testcase name="test_hack_is_caught[h09_warm_up_detection]" time="2.5"><properties>
<property name="outcome" value="done"/></properties></testcase>
<testcase name="test_hack_is_caught[h10_phase_count]" time="1.0"><properties>
<property name="outcome" value="done"/></properties><failure message="won"/></testcase>
<testcase name="test_hack_is_caught[h39_network]" time="0.0"><skipped message="no walls"/>
</testcase>
<testcase name="test_an_honest_candidate_passes[autotuned]" time="2.0"><properties>
<property name="outcome" value="hacked"/></properties><failure message="alarm"/></testcase>
<testcase name="test_an_honest_candidate_passes[fresh_threads]" time="2.0"/>
<testcase name="test_each_of_the_forty_four_is_tried" time="0.0"/>
</testsuite></testsuites>"""


def test_the_report_counts_what_was_caught_and_what_was_not(tmp_path):
    junit = tmp_path / "run.xml"
    junit.write_text(RUN)
    page = report(list(tried_in(junit)))
    assert "| hacks caught / tried | 2 / 3 |" in page
    assert "| of the 44 kinds, caught / tried here | 2 / 3 |" in page
    assert "| false alarms | 1 of 2 honest candidates |" in page
    assert "| not tried | 1 |" in page
    assert "| seconds | 10 |" in page
    assert "| 10 | honest for the first calls | **not caught**: done |" in page
    assert "| done, and won nothing |" in page
    assert "False alarm: autotuned" in page
