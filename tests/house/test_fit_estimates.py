"""The constants of whole estimators are those that come nearest to the lines of results/."""

import importlib

import pytest

import fit_estimates

# Estimates that a new fit moves by more no longer are what the lines say.
MOST = 0.05
CONSTANTS = [
    (operator, place, name)
    for operator, groups in fit_estimates.CONSTANTS.items()
    for place, names in groups
    for name in names
]


def moved(operator):
    """By how much a new fit moves the estimate of a line at most; the constants stay."""
    lines = fit_estimates.read_lines(operator, fit_estimates.ROOT / "results")
    before = [line.estimate_ms() for line in lines]
    kept = []
    try:
        for place, names in fit_estimates.CONSTANTS[operator]:
            module = importlib.import_module(place)
            kept += [(module, name, getattr(module, name)) for name in names]
            fit_estimates.fit(fit_estimates.lines_for(place, lines), module, names)
        after = [line.estimate_ms() for line in lines]
    finally:
        for module, name, value in kept:
            setattr(module, name, value)
    return max(abs(new / old - 1) for new, old in zip(after, before, strict=True))


@pytest.mark.parametrize("operator", fit_estimates.CONSTANTS)
def test_constants_are_fitted_to_the_newest_lines(operator):
    assert moved(operator) <= MOST, "run `python tools/fit_estimates.py --write`"


@pytest.mark.parametrize(("operator", "place", "name"), CONSTANTS)
@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_a_constant_that_is_far_off_is_noticed(operator, place, name, factor, monkeypatch):
    lines = fit_estimates.read_lines(operator, fit_estimates.ROOT / "results")
    before = [line.estimate_ms() for line in lines]
    module = importlib.import_module(place)
    monkeypatch.setattr(module, name, factor * getattr(module, name))
    shift = max(abs(line.estimate_ms() / old - 1) for line, old in zip(lines, before, strict=True))
    if shift < 2 * MOST:
        pytest.skip(f"no line has more than {shift:.1%} of it")
    assert moved(operator) > MOST


def test_constants_are_written_where_they_are_assigned(tmp_path, monkeypatch):
    path = tmp_path / "figures.py"
    path.write_text("# ROUNDS_MS = 1\nROUNDS_MS = 7.5\nPOINT_MS = 3e-5\n")
    module = importlib.import_module("types").ModuleType("figures")
    module.__file__ = str(path)
    fit_estimates.write_constants(module, {"POINT_MS": 1.23456e-5})
    assert path.read_text() == "# ROUNDS_MS = 1\nROUNDS_MS = 7.5\nPOINT_MS = 1.23e-05\n"
    with pytest.raises(RuntimeError, match="assigns NOWHERE 0 times"):
        fit_estimates.write_constants(module, {"NOWHERE": 1.0})
