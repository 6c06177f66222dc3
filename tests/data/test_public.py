"""The public names of onetrip.data: each is there, documented, and costs nothing before its use."""

import subprocess
import sys

import pytest

import onetrip.data


@pytest.mark.parametrize("name", onetrip.data.__all__)
def test_name_is_there_with_an_example(name):
    assert ">>>" in (getattr(onetrip.data, name).__doc__ or "")
    assert name in dir(onetrip.data)


def test_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'no_such'"):
        _ = onetrip.data.no_such


def test_import_is_light():
    code = "import sys, onetrip.data; print({'torch', 'pyarrow', 'numpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "set()", run.stderr
