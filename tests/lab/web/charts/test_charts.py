"""Every chart: well-formed, escaped, inside its frame, with its numbers beside it."""

import re
from xml.etree import ElementTree

import pytest

from onetrip.core.units import bytes_text, time_text
from onetrip.lab.web.charts.bars import error_bars
from onetrip.lab.web.charts.best import Measure, Tried, best_chart
from onetrip.lab.web.charts.figure import NARROW_PX, WIDE_PX
from onetrip.lab.web.charts.intervals import Interval, Line, interval_chart
from onetrip.lab.web.charts.pareto import Trade, pareto_chart
from onetrip.lab.web.charts.roofline import Ceiling, Reached, roofline_chart
from onetrip.lab.web.charts.strip import Strip, strip_chart

TIME = Measure("median time", time_text, floor=0.4)
EVIL = "</svg><script>alert(1)</script>"


def _best(label="#1"):
    times = [(2.0, True), (2.4, False), (1.5, True), (1.1, True), (1.3, False)]
    tried = [
        Tried(n, f"{label} {n}", f"/experiments/{n}", ms, ms * 0.95, ms * 1.06, best, ms == 1.1)
        for n, (ms, best) in enumerate(times, 1)
    ]
    return best_chart("Best so far", tried, TIME)


def _roofline(label="#1"):
    points = [
        Reached(f"{label} {n}", f"/experiments/{n}", 12.0, 0.1 * n, mark)
        for n, mark in enumerate(("tried", "peer", "champion"), 1)
    ]
    return roofline_chart("Roofline", points, [Ceiling("float32", 1.2), Ceiling("bf16", 9.0)], 90)


def _pareto(label="#1"):
    trades = [
        Trade(f"{label} {n}", "/x", ms, size, front)
        for n, (ms, size, front) in enumerate([(1, 900, True), (2, 300, True), (3, 800, False)], 1)
    ]
    return pareto_chart("Pareto", trades, name="peak memory", text=bytes_text)


def _intervals(label="#1"):
    rows = [
        Interval(f"{label} a", 1.2, 1.1, 1.3, "for", "/experiments/1"),
        Interval(f"{label} b", 0.98, 0.9, 1.05, "noise"),
    ]
    lines = [Line(1.0, "as fast"), Line(1.05, "predicted", "predicted")]
    return interval_chart("Ratios", rows, lines=lines, name="ratio", wanted=(1.05, float("inf")))


def _errors(label="out"):
    checks = [(f"{label} 1", 1e-7, 1e-6, True), ("nan", None, 1e-6, False), ("x", 3.0, 1.0, False)]
    return error_bars("Errors", checks)


def _strip(label="candidate"):
    samples = [1.0, 1.1, 1.05, 1.2]
    strips = [
        Strip(label, samples, 1.07, 1.0, 1.2, (0.1, 0.9, 1.4, 1.6)),
        Strip("baseline", samples, 1.07, 1.0, 1.2, (0.4, 0.6, 1.1, 1.9)),
    ]
    return strip_chart("Samples", strips, floor_ms=0.5)


CHARTS = [_best, _roofline, _pareto, _intervals, _errors, _strip]


@pytest.mark.parametrize("make", CHARTS)
@pytest.mark.parametrize("drawing", ["wide", "narrow"])
def test_drawing_is_well_formed_and_says_what_it_shows(make, drawing):
    chart = make()
    root = ElementTree.fromstring(str(getattr(chart, drawing)))
    names = [child.tag.rpartition("}")[2] for child in root][:2]
    assert names == ["title", "desc"]
    assert root[0].text == chart.title
    assert root[1].text == chart.description
    assert chart.rows
    assert all(len(row) == len(chart.columns) for row in chart.rows)


@pytest.mark.parametrize("make", CHARTS)
def test_nothing_leaves_the_frame(make):
    chart = make()
    for drawing, width in ((chart.wide, WIDE_PX), (chart.narrow, NARROW_PX)):
        root = ElementTree.fromstring(str(drawing))
        height = float(root.attrib["height"])
        for mark in root.iter():
            for name, most in (("x", width), ("cx", width), ("x2", width), ("y", height)):
                if name in mark.attrib:
                    assert -1 <= float(mark.attrib[name]) <= most + 1, mark.attrib


@pytest.mark.parametrize("make", CHARTS)
def test_text_of_proposers_is_escaped(make):
    chart = make(EVIL)
    assert "<script" not in str(chart.wide) + str(chart.narrow)
    assert EVIL in chart.rows[0][0].text


@pytest.mark.parametrize("make", CHARTS)
def test_a_strict_policy_lets_it_through(make):
    # style-src 'self' forbids style attributes, script-src 'self' handlers.
    drawing = str(make().wide)
    assert not re.search(r"\s(style|on\w+)=", drawing)
    assert "url(" not in drawing
    assert "data:" not in drawing


def test_charts_without_data_say_what_will_appear():
    for chart in (
        best_chart("t", [], TIME),
        roofline_chart("t", [], [], 0),
        pareto_chart("t", [], name="memory", text=bytes_text),
        interval_chart("t", [], lines=[], name="ratio"),
        error_bars("t", []),
        strip_chart("t", []),
    ):
        assert chart.empty
        assert chart.wide == ""


def test_the_staircase_goes_down_through_the_best():
    line = re.search(r'<path d="M([^"]+)" class="best-line"', str(_best().wide))
    assert line is not None
    points = [tuple(map(float, point.split())) for point in line[1].split("L")]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert len({y for _, y in points}) == 3


def test_an_error_beyond_its_allowance_is_marked_and_stays_inside():
    root = ElementTree.fromstring(str(_errors().wide))
    bars = [mark for mark in root.iter() if "bar" in mark.attrib.get("class", "").split()]
    assert [bar.attrib["class"] for bar in bars] == ["bar good", "bar bad over", "bar bad over"]
    trough = next(mark for mark in root.iter() if mark.attrib.get("class") == "trough")
    assert all(float(bar.attrib["width"]) <= float(trough.attrib["width"]) for bar in bars)


def test_samples_stand_in_the_order_of_the_blocks():
    root = ElementTree.fromstring(str(_strip().wide))
    groups = [g for g in root.iter() if g.attrib.get("class", "").startswith("samples")]
    candidate, baseline = ([float(dot.attrib["cx"]) for dot in group] for group in groups)
    assert candidate[0] < baseline[0] < baseline[1] < candidate[1] < baseline[2] < candidate[2]


def test_the_same_label_is_not_drawn_over_another():
    tried = [
        Tried(n, f"experiment {n}", "/", 1.0 - n * 1e-4, 0.9, 1.1, best=True) for n in range(30)
    ]
    drawing = ElementTree.fromstring(str(best_chart("t", tried, TIME).wide))
    boxes = []
    for text in drawing.iter():
        if text.attrib.get("class") == "point-name":
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            half = len(text.text or "") * 3
            shift = {"start": half, "middle": 0, "end": -half}[text.attrib["text-anchor"]]
            boxes.append((x + shift, y, half))
    assert len(boxes) > 2
    for n, (x, y, half) in enumerate(boxes):
        for other_x, other_y, other_half in boxes[:n]:
            assert abs(x - other_x) >= half + other_half - 1 or abs(y - other_y) >= 11


def test_units_are_written_on_the_ticks():
    assert time_text(1.0) in str(_best().wide)
