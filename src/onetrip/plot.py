"""The pictures that people expect of the estimators; matplotlib comes with ``onetrip[plot]``.

Each function draws into the axes that it is given, or into new ones, and returns them: title,
size and file are the caller's.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onetrip.core.errors import ArgumentError, ShapeError, complaint, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart with any colour vision, in print too (Okabe and Ito, 2008); black is left to text.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_NOISE = "0.75"
_LEGEND_ENTRIES = 20
_LEGEND_SIZE = 30
_NAME_BOX = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}


def embedding(
    points: Any,
    labels: Any = None,
    *,
    names: Sequence[str] | None = None,
    noise: Any = -1,
    ax: "Axes | None" = None,
) -> "Axes":
    """Scatter points in the plane or in space, one colour and marker a label.

    Parameters
    ----------
    points : array-like or Tensor of shape (n_samples, 2) or (n_samples, 3)
        What `TSNE` or `PCA` returns.
    labels : array-like or Tensor of shape (n_samples,), optional
        Clusters or classes. The twenty largest stand in the legend, and in the plane each has its
        name at its median.
    names : text of each label in the legend, in the order of the sorted labels.
    noise : the label that is drawn pale and behind; HDBSCAN's is -1.
    ax : axes to draw into; of a 3-D projection for three columns.

    Examples
    --------
    >>> import numpy as np, onetrip.plot
    >>> ax = onetrip.plot.embedding(np.eye(4)[:, :2], [0, 0, 1, -1])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0 (2)', '1 (1)', 'noise (1)']
    """
    points = _array(points)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        expected = "of shape (n_samples, 2) or (n_samples, 3)"
        raise ShapeError(complaint("points", expected=expected, got=points.shape))
    kinds = np.zeros(len(points), int) if labels is None else _array(labels)
    if kinds.shape != (len(points),):
        expected = f"one label for each of {len(points)} points"
        raise ShapeError(complaint("labels", expected=expected, got=kinds.shape))
    kept = [kind for kind in _distinct(kinds) if kind != noise]
    if names is not None and len(names) != len(kept):
        expected = f"one name for each of {len(kept)} labels"
        raise ArgumentError(complaint("names", expected=expected, got=len(names)))
    axes = _axes(ax, projection="3d" if points.shape[1] == 3 else None)
    if points.shape[1] == 3 and axes.name != "3d":
        way_out = 'Make them with figure.add_subplot(projection="3d").'
        expected = "axes of a 3-D projection for points in space"
        raise ArgumentError(complaint("ax", expected=expected, got=axes.name, way_out=way_out))
    size = float(np.clip(20_000 / max(len(points), 1), 2, 36))
    counts = {kind: int((kinds == kind).sum()) for kind in kept}
    told = set(sorted(kept, key=lambda kind: -counts[kind])[:_LEGEND_ENTRIES])
    entries: list[tuple[Any, str]] = []
    pale = kinds == noise
    if labels is not None and pale.any():
        drawn = axes.scatter(*points[pale].T, s=size / 2, c=_NOISE, linewidths=0)
        entries.append((drawn, f"noise ({pale.sum()})"))
    for place, kind in enumerate(kept):
        name = str(kind if names is None else names[place])
        drawn = axes.scatter(
            *points[kinds == kind].T,
            s=size,
            color=_COLOURS[place % len(_COLOURS)],
            marker=_MARKERS[place // len(_COLOURS) % len(_MARKERS)],
            linewidths=0,
            alpha=0.8,
        )
        if kind not in told or labels is None:
            continue
        entries.insert(len(entries) - bool(pale.any()), (drawn, f"{name} ({counts[kind]})"))
        if points.shape[1] == 2:
            middle = np.median(points[kinds == kind], axis=0)
            style: dict[str, Any] = {"ha": "center", "va": "center", "weight": "bold"}
            axes.annotate(name, middle, bbox=_NAME_BOX, parse_math=False, **style)
    if entries:
        _legend(axes, entries, len(kept) - len(told))
    # Distances mean something, coordinates do not.
    axes.set_aspect("equal", adjustable="datalim" if points.shape[1] == 2 else "box")
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    return axes


def elbow(
    n_clusters: Sequence[int], inertias: Sequence[float], *, ax: "Axes | None" = None
) -> "Axes":
    """Inertia of k-means over the number of clusters, with the bend of the curve marked.

    The bend is the point farthest below the line from the first to the last (Satopää et al.,
    Finding a "Kneedle" in a Haystack, 2011). Where the curve has none, nothing is marked.

    Examples
    --------
    >>> import onetrip.plot
    >>> ax = onetrip.plot.elbow([1, 2, 3, 4, 5], [100, 40, 10, 8, 6])
    >>> ax.texts[0].get_text()
    'k = 3'
    """
    if len(n_clusters) != len(inertias) or not len(n_clusters):
        expected = "as many inertias as numbers of clusters, one at least"
        raise ShapeError(complaint("inertias", expected=expected, got=len(inertias)))
    clusters, values = (np.array([float(one) for one in these]) for these in (n_clusters, inertias))
    order = np.argsort(clusters)
    clusters, values = clusters[order], values[order]
    axes = _axes(ax)
    axes.plot(clusters, values, "o-", color=_COLOURS[0], markersize=4)
    bend = _bend(clusters, values)
    if bend is not None:
        axes.axvline(clusters[bend], color="0.6", linestyle=":")
        axes.annotate(
            f"k = {clusters[bend]:g}",
            (clusters[bend], values[bend]),
            (8, 8),
            textcoords="offset points",
        )
    axes.set(xlabel="clusters", ylabel="inertia")
    axes.set_ylim(bottom=0)
    _whole_numbers(axes)
    return axes


def scree(model: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Share of the variance that each component explains, and the sum so far.

    Parameters
    ----------
    model : a fitted `PCA` or `TruncatedSVD`, or the ratios themselves.

    Examples
    --------
    >>> import onetrip.plot
    >>> ax = onetrip.plot.scree([0.6, 0.3, 0.05])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['sum', 'each']
    """
    ratios = _array(getattr(model, "explained_variance_ratio_", model))
    if ratios.dtype.kind not in "fiu":
        got = type(model).__name__
        raise ArgumentError(complaint("model", expected="a fitted PCA, or ratios", got=got))
    if ratios.ndim != 1:
        raise ShapeError(complaint("model", expected="a fitted PCA, or ratios", got=ratios.shape))
    axes = _axes(ax)
    component = np.arange(1, len(ratios) + 1)
    axes.bar(component, ratios, color=_COLOURS[0], label="each")
    axes.plot(component, ratios.cumsum(), "o-", color=_COLOURS[5], markersize=3, label="sum")
    axes.set(xlabel="component", ylabel="share of the variance", ylim=(0, 1.02))
    _whole_numbers(axes)
    axes.legend(frameon=False, loc="center right")
    return axes


def condensed_tree(model: Any, *, ax: "Axes | None" = None) -> "Axes":
    """The tree of clusters that HDBSCAN chose from, the chosen ones marked.

    Parameters
    ----------
    model : a fitted `HDBSCAN`, or its `condensed_tree_`.
    """
    tree = getattr(model, "condensed_tree_", model)
    if not hasattr(tree, "plot"):
        expected = "a fitted HDBSCAN, or its condensed_tree_"
        raise ArgumentError(complaint("model", expected=expected, got=type(model).__name__))
    return tree.plot(ax=_axes(ax))


def _array(values: Any) -> np.ndarray:
    """An array of whatever came, a tensor on a device among it."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    return np.asarray(values)


def _axes(ax: "Axes | None", projection: str | None = None) -> Any:
    if ax is not None:
        return ax
    require("matplotlib", extra="plot", purpose="A plot")
    figure = importlib.import_module("matplotlib.pyplot").figure(layout="constrained")
    return figure.add_subplot(projection=projection)


def _whole_numbers(axes: Any) -> None:
    locator = importlib.import_module("matplotlib.ticker").MaxNLocator
    axes.xaxis.set_major_locator(locator("auto", integer=True, min_n_ticks=1))


def _distinct(kinds: np.ndarray) -> np.ndarray:
    """The labels, sorted; what cannot be told apart from itself would not be drawn."""
    try:
        found = np.unique(kinds)
    except TypeError as error:
        expected, got = "of one kind, which sorts", "several kinds"
        raise ArgumentError(complaint("labels", expected=expected, got=got)) from error
    if (found != found).any():
        way_out = "Replace them, by -1 to draw them as noise."
        expected = "without missing values"
        raise ArgumentError(complaint("labels", expected=expected, got="NaN", way_out=way_out))
    return found


def _legend(axes: Any, entries: list[tuple[Any, str]], left_out: int) -> None:
    """The entries in their order; how many labels found no room stands as the title."""
    handles, texts = zip(*entries, strict=True)
    legend = axes.legend(
        handles,
        [""] * len(texts),
        title=f"and {left_out} smaller" if left_out else None,
        frameon=False,
        fontsize="small",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    # Set by hand, a name may begin with "_" and hold "$", which mean something to matplotlib.
    for handle, line, text in zip(legend.legend_handles, legend.get_texts(), texts, strict=True):
        handle.set_sizes([_LEGEND_SIZE])
        line.set_parse_math(False)
        line.set_text(text)


def _bend(x: np.ndarray, y: np.ndarray) -> int | None:
    """Place of the point farthest below the line between the ends, if one is below it."""
    if len(x) < 3 or x[-1] == x[0] or y[0] == y[-1]:
        return None
    across, down = (x - x[0]) / (x[-1] - x[0]), (y - y[-1]) / (y[0] - y[-1])
    below = 1.0 - across - down
    return int(below.argmax()) if below.max() > 1e-9 else None
