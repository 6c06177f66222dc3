"""The pictures: what stands in them, and what is refused."""

import sys

import numpy as np
import pytest
import torch

from onetrip import plot
from onetrip.core.errors import MissingDependencyError, OnetripError
from onetrip.decomposition import PCA

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _closed_figures():
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def legend_of(axes):
    found = axes.get_legend()
    assert found is not None
    return found


def legend(axes):
    return [text.get_text() for text in legend_of(axes).get_texts()]


def test_every_point_is_drawn_once_and_noise_behind():
    points = np.random.default_rng(0).normal(size=(60, 2))
    labels = np.repeat([-1, 0, 1, 2], 15)
    axes = plot.embedding(torch.tensor(points), torch.tensor(labels))
    drawn = np.concatenate([one.get_offsets() for one in axes.collections])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, points))
    assert legend(axes) == ["0 (15)", "1 (15)", "2 (15)", "noise (15)"]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), points[labels == -1])
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    axes.figure.canvas.draw()
    right = legend_of(axes).get_window_extent().x1
    assert right <= axes.figure.bbox.x1


def test_labels_beyond_the_legend_are_counted():
    axes = plot.embedding(np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) // 2)
    assert len(legend(axes)) == 20
    assert legend_of(axes).get_title().get_text() == "and 5 smaller"


def test_names_take_the_place_of_labels():
    axes = plot.embedding(np.eye(3), ["b", "a", "b"], names=["alpha", "beta"])
    assert legend(axes) == ["alpha (1)", "beta (2)"]
    assert axes.name == "3d"


def test_names_mean_nothing_to_matplotlib():
    """A leading underscore hides an entry there, and dollars are formulas that may not parse."""
    names = ["_hidden", "$a_$"]
    axes = plot.embedding(np.eye(2), [0, 1], names=names)
    axes.figure.canvas.draw()
    assert legend(axes) == ["_hidden (1)", "$a_$ (1)"]
    assert [text.get_text() for text in axes.texts] == names


def test_one_component_stands_at_a_whole_number():
    axes = plot.scree([0.5])
    axes.figure.canvas.draw()
    assert 1.0 in axes.get_xticks()
    assert (axes.get_xticks() % 1 == 0).all()


def test_tensors_make_an_elbow():
    axes = plot.elbow(torch.arange(1, 6), torch.tensor([100.0, 40.0, 10.0, 8.0, 6.0]))
    assert [text.get_text() for text in axes.texts] == ["k = 3"]


def test_given_axes_are_drawn_into():
    figure, mine = pyplot.subplots()
    assert plot.scree([0.5, 0.2], ax=mine) is mine
    assert plot.elbow([1, 2], [3, 1], ax=mine) is mine
    assert pyplot.get_fignums() == [figure.number]


def test_scree_takes_a_model():
    class Model:
        explained_variance_ratio_ = torch.tensor([0.5, 0.25])

    axes = plot.scree(Model())
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], [0.5, 0.25])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.5, 0.75])


@pytest.mark.parametrize(
    ("clusters", "inertias", "bend"),
    [
        ([1, 2, 3, 4, 5], [100, 40, 10, 8, 6], "k = 3"),
        ([5, 3, 1, 2, 4], [6, 10, 100, 40, 8], "k = 3"),
        ([1, 2, 3], [3, 2, 1], None),
        ([1, 2], [3, 1], None),
        ([1, 2, 3], [1, 1, 1], None),
    ],
)
def test_the_bend_is_marked_where_there_is_one(clusters, inertias, bend):
    axes = plot.elbow(clusters, inertias)
    assert [text.get_text() for text in axes.texts] == ([bend] if bend else [])


def test_condensed_tree_is_the_models_own():
    class Tree:
        def plot(self, ax):
            return ax

    class Model:
        condensed_tree_ = Tree()

    mine = pyplot.gca()
    assert plot.condensed_tree(Model(), ax=mine) is mine
    assert plot.condensed_tree(Tree(), ax=mine) is mine


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.embedding(np.zeros((4, 5))), "points"),
        (lambda: plot.embedding(np.zeros((4, 2)), [1, 2]), "one label for each of 4"),
        (lambda: plot.embedding(np.zeros((2, 2)), [1, 2], names=["a"]), "one name for each of 2"),
        (lambda: plot.embedding(np.zeros((2, 2)), [0, np.nan]), "without missing values, got NaN"),
        (lambda: plot.embedding(np.zeros((2, 2)), np.array(["a", 1], object)), "of one kind"),
        (lambda: plot.embedding(np.zeros((2, 3)), ax=pyplot.gca()), r"`ax` must be axes of a 3-D"),
        (lambda: plot.scree(PCA()), "a fitted PCA, or ratios, got PCA"),
        (lambda: plot.elbow([1, 2], [3.0]), "inertias"),
        (lambda: plot.elbow([], []), "inertias"),
        (lambda: plot.scree(np.zeros((2, 2))), "model"),
        (lambda: plot.condensed_tree(3), "HDBSCAN"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(OnetripError, match=message):
        call()


def test_without_matplotlib_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"onetrip\[plot\]"):
        plot.scree([0.5])
