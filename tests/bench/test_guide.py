"""docs/guide/benchmarking.md cannot drift from what it describes."""

import inspect
import re
from pathlib import Path

import pytest

from onetrip.bench import environment, results, side_by_side
from onetrip.bench.peers import peers_of
from onetrip.cli import bench

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "benchmarking.md"
TEXT = GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_code_runs(block):
    exec(compile(block, str(GUIDE), "exec"), {})


def test_every_peer_has_its_line():
    documented = re.findall(r"^\| `([a-z0-9-]+)` \|.*\|$", TEXT, re.MULTILINE)
    names = [peer.name for peer in peers_of("linear_cross_entropy")]
    assert [name for name in documented if name in names] == names


def test_every_option_it_names_exists():
    options = set(re.findall(r"--[a-z][a-z-]+", TEXT)) - {"--measure", "--device"}
    options.remove("--write")  # of the tool that fits constants
    source = inspect.getsource(bench)
    parameters = inspect.signature(bench._bench).parameters
    for option in options:
        assert option[2:].replace("-", "_") in parameters or f'"{option}"' in source, option


def test_every_field_of_a_result_is_explained():
    sources = "".join(inspect.getsource(module) for module in (side_by_side, results))
    assert "environment" in inspect.getsource(environment)
    written = set(re.findall(r'^ +"(\w+)": ', sources, re.MULTILINE))
    rows = TEXT.partition("| field | what |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"`(\w+)`", rows))
    within_errors = {"max_error", "allowance", "eager_max_error", "relative_error"}
    within_errors |= {"eager_relative_error", "within", "pairs", "format", "message"}
    assert written - documented - within_errors == set()
