"""The chain of estimators finds the families that it was given, and its picture is written."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "protein_families.py"


def test_families_are_found(tmp_path, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    picture = tmp_path / "families.svg"
    figures = runpy.run_path(str(EXAMPLE))["main"](400, 5, str(picture))
    pyplot.close("all")
    assert figures["naive Bayes, accuracy"] > 0.98
    assert figures["neighbours, accuracy"] > 0.98
    assert figures["HDBSCAN, agreement with families"] > 0.7
    assert 0 < figures["t-SNE, divergence"] < 2
    assert picture.stat().st_size > 10_000
    assert len(capsys.readouterr().out.splitlines()) == len(figures)
