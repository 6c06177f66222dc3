"""Recipes as people write them in YAML."""

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.recipe import load_recipe

ONE = "source: {csv: {columns: [n]}}\n"


def recipe(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE + "steps: []\nsource: oas\n", "source twice in the mapping of line 1"),
        (ONE + "steps:\n  - filter: {preset: a, preset: b}\n", "preset twice in the mapping of l"),
        (ONE + "steps:\n  - filter: {where: []}\n    filter: {}\n", "filter twice in the m"),
        (ONE + "steps:\n\t- filter\n", "is no YAML"),
        ("source: &a {csv: *a}\n", "`csv: csv` must be one of columns"),
        ("- csv\n", "a mapping with `source` and `steps`, got list"),
        ("", "a mapping with `source` and `steps`, got NoneType"),
    ],
    ids=["top", "parameter", "step", "tab", "circle", "list", "empty"],
)
def test_what_is_no_recipe_is_refused(text, message, tmp_path):
    with pytest.raises((ArgumentError, DataError), match=message):
        load_recipe(recipe(tmp_path, text))


def test_anchors_stand_for_what_they_name(tmp_path):
    text = ONE + "steps:\n  - filter: &f {where: [n > 1]}\n  - filter: *f\n  - filter: {<<: *f}\n"
    steps = load_recipe(recipe(tmp_path, text)).steps
    assert len(steps) == 3
    assert steps[0] == steps[1] == steps[2]
