"""The races of the neighbours' votes refuse wrong answers, and forgive ties alone."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

TOOLS = str(Path(__file__).parents[2] / "tools")


@pytest.fixture(params=["kneighbors_classifier", "kneighbors_regressor"])
def races(request, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    yield importlib.import_module(f"estimator_workloads.{request.param}")
    for name in [name for name in sys.modules if name.startswith("estimator_workloads")]:
        del sys.modules[name]


def _solved(race):
    data = race.make()
    names = ("onetrip", "sklearn-auto")
    return data, {name: race.contenders[name](data) for name in names}


def test_real_data_are_answered_as_scikit_learn_does(races):
    for race in races.RACES[:2]:
        assert race.dtype == "float64"
        race.check(*_solved(race))


def test_a_wrong_answer_stops_the_race(races):
    race = races.growth(500)
    data, answers = _solved(race)
    race.check(data, answers)
    wrong = answers["onetrip"].copy()
    wrong[7] += 1
    with pytest.raises(AssertionError, match="query 7"):
        race.check(data, {**answers, "onetrip": wrong})
    with pytest.raises(AssertionError, match="are not scikit-learn's"):
        race.check(data, {**answers, "onetrip": answers["onetrip"] + 1})


def test_a_tie_is_forgiven(races):
    race = replace(races.RACES[0], make=_twins)
    k = race.axes["n_neighbors"]
    data = race.make()
    answers = {"sklearn-auto": np.zeros(20), "onetrip": np.zeros(20)}
    answers["onetrip"][3] = 1.0
    with pytest.raises(AssertionError, match="query 3"):
        race.check({**data, "corpus": np.arange(20.0)[:, None]}, answers)
    assert k == 5
    race.check(data, answers)


def _twins():
    """Every sample is there ten times, so that the fifth neighbour ties with the sixth."""
    return {"corpus": np.repeat(np.arange(3.0), 10)[:, None], "queries": np.full((20, 1), 0.1)}


def test_the_error_of_a_ratio_is_that_of_pairs(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    ratio_of_means = importlib.import_module("tsne_divergence").ratio_of_means
    draw = np.random.default_rng(0)
    ratios = []
    for _ in range(2000):
        theirs = 1.0 + 0.05 * draw.standard_normal(16)
        ratios.append(ratio_of_means(1.1 * theirs + 0.02 * draw.standard_normal(16), theirs))
    means, errors = np.array(ratios).T
    assert means.mean() == pytest.approx(1.1, abs=1e-3)
    assert errors.mean() == pytest.approx(means.std(), rel=0.1)
