"""Labels on a candidate's text: they name what they saw, and they never decide."""

import pytest

from onetrip.lab.judge.static_rules import static_flags


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("import time\ntime.perf_counter = lambda: 0", "touches clocks"),
        ("import gc\ngc.get_objects()", "searches the process"),
        ("import sys\nsys._getframe(1)", "searches the process"),
        ("exec(text)", "runs text as code"),
        ("import socket", "reaches outside torch"),
        ("from ctypes import CDLL", "reaches outside torch"),
        ("s = torch.cuda.Stream()", "starts threads or streams"),
        ("key = x.data_ptr()", "keys on addresses"),
        ("class Lazy(torch.Tensor):\n    pass", "subclasses Tensor"),
        ("import torch\ntorch.cuda.synchronize = None", "changes attributes of modules"),
        (
            "try:\n    f()\nexcept Exception:\n    def g():\n        return 1",
            "falls back on errors",
        ),
        ("y = torch.nn.functional.softmax(x)", "calls the vendor's operator"),
    ],
)
def test_each_rule_names_the_line_that_it_saw(source, rule):
    flags = {flag.rule: flag for flag in static_flags(source)}
    assert rule in flags
    assert flags[rule].source == "static"
    assert flags[rule].evidence.startswith("line ")


def test_a_plain_kernel_has_no_label():
    source = "import torch\n\ndef custom_kernel(data):\n    a, b = data\n    return a + 2 * b\n"
    assert static_flags(source) == ()


@pytest.mark.parametrize("source", ["def f(:", "\0", "(" * 5000])
def test_text_that_is_no_python_is_left_to_the_trial(source):
    assert static_flags(source) == ()
