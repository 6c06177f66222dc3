"""The trees of a fitted HDBSCAN as its users look at them: arrays, data frames, pictures."""

from typing import Any

import numpy as np

from onetrip.core.errors import require
from onetrip.ops.hdbscan.condense import Condensed
from onetrip.ops.hdbscan.linkage import Linkage, cut


class SingleLinkageTree:
    """The merges of the single linkage tree, nearest first.

    Rows are as in SciPy's linkage matrices: two nodes, their distance, the size of what they
    make. Nodes below n_samples are samples; row m makes the node n_samples + m.
    """

    def __init__(self, tree: Linkage) -> None:
        self._tree = tree

    def to_numpy(self) -> np.ndarray:
        """Float64 matrix [n_samples - 1, 4], as `scipy.cluster.hierarchy.dendrogram` takes it."""
        return np.column_stack(list(self._columns().values())).astype(float)

    def to_pandas(self) -> Any:
        """Data frame with the columns parent, left_child, right_child, distance, size."""
        pandas = require("pandas", extra="dev", purpose="A data frame")
        N = self._tree.n_samples
        return pandas.DataFrame({"parent": np.arange(N, 2 * N - 1), **self._columns()})

    def get_clusters(self, cut_distance: float, min_cluster_size: int = 5) -> np.ndarray:
        """Labels [n_samples] at a distance; -1 in components below `min_cluster_size`."""
        return cut(self._tree, cut_distance, min_cluster_size).numpy()

    def _columns(self) -> dict[str, np.ndarray]:
        tree = self._tree
        return {
            "left_child": tree.left.numpy(),
            "right_child": tree.right.numpy(),
            "distance": tree.distance.numpy(),
            "size": tree.size.numpy(),
        }

    def plot(self, ax: Any = None, *, last_merges: int = 50) -> Any:
        """Draw the dendrogram of the last merges; needs ``onetrip[plot]``.

        Parameters
        ----------
        ax : axes of matplotlib to draw into, or None for new ones.
        last_merges : earlier ones are drawn as one leaf.

        Returns
        -------
        The axes.
        """
        ax = _axes(ax)
        hierarchy = require("scipy.cluster.hierarchy", extra="sklearn", purpose="A dendrogram")
        merges = self.to_numpy()
        options = {"p": last_merges, "truncate_mode": "lastp", "no_labels": True}
        if merges[-1, 2] > 0.0:
            hierarchy.dendrogram(merges, ax=ax, **options)
        else:
            # Its axis would begin and end at 0, which matplotlib warns of.
            _draw_at_zero(ax, hierarchy.dendrogram(merges, no_plot=True, **options))
        ax.set_ylabel("distance")
        return ax


class CondensedTree:
    """What leaves which cluster, and at which density: the tree that clusters are chosen from."""

    def __init__(self, tree: Condensed, chosen: np.ndarray) -> None:
        self._tree, self._chosen = tree, chosen

    def to_numpy(self) -> np.ndarray:
        """Records with the fields parent, child, lambda_val, child_size."""
        tree = self._tree
        fields = [("parent", np.intp), ("child", np.intp), ("lambda_val", float)]
        rows = np.empty(tree.parent.shape[0], dtype=[*fields, ("child_size", np.intp)])
        for name in rows.dtype.names or ():
            rows[name] = getattr(tree, name)
        return rows

    def to_pandas(self) -> Any:
        """Data frame with the columns parent, child, lambda_val, child_size."""
        pandas = require("pandas", extra="dev", purpose="A data frame")
        return pandas.DataFrame(self.to_numpy())

    def selected_clusters(self) -> np.ndarray:
        """Numbers of the clusters that labels were made from, label by label."""
        return self._chosen + self._tree.n_samples

    def bars(self) -> list[dict[str, float]]:
        """What `plot` draws: for each cluster and each density that it loses points at, a bar.

        Returns
        -------
        list of dict
            "cluster", "left" (middle of the bar), "width" (points it still has), "top" and
            "bottom" (densities), finite.
        """
        tree, N = self._tree, self._tree.n_samples
        finite = tree.lambda_val[np.isfinite(tree.lambda_val)]
        ceiling = 1.1 * finite.max() if finite.size else 1.0
        born = np.concatenate([[0.0], np.minimum(tree.lambda_val[N:], ceiling)])
        size = np.concatenate([[N], tree.child_size[N:]])
        middle = _middles(tree)
        found = []
        by_cluster = np.lexsort((tree.lambda_val, tree.parent))
        for row in by_cluster.tolist():
            cluster = int(tree.parent[row]) - N
            bottom = float(min(tree.lambda_val[row], ceiling))
            if bottom > born[cluster]:
                bar = {"left": float(middle[cluster]), "width": float(size[cluster])}
                bar |= {"top": float(born[cluster]), "bottom": bottom}
                found.append({"cluster": float(cluster + N), **bar})
                born[cluster] = bottom
            size[cluster] -= tree.child_size[row]
        return found

    def plot(self, ax: Any = None, *, select_clusters: bool = True) -> Any:
        """Draw clusters as icicles, as wide as they have points; needs ``onetrip[plot]``.

        Parameters
        ----------
        ax : axes of matplotlib to draw into, or None for new ones.
        select_clusters : draw the chosen clusters in colour.

        Returns
        -------
        The axes.
        """
        ax = _axes(ax)
        chosen = set(self.selected_clusters().tolist())
        for bar in self.bars():
            shown = select_clusters and int(bar["cluster"]) in chosen
            ax.bar(
                bar["left"],
                bar["bottom"] - bar["top"],
                bottom=bar["top"],
                width=bar["width"],
                color="tab:orange" if shown else "0.7",
                linewidth=0,
            )
        ax.invert_yaxis()
        ax.set_xticks([])
        ax.set_ylabel("density (1 / distance)")
        return ax


def _middles(tree: Condensed) -> np.ndarray:
    """Where every cluster stands, so that children stand below their parent, side by side."""
    N = tree.n_samples
    left = np.zeros(tree.n_clusters)
    size = np.concatenate([[N], tree.child_size[N:]])
    taken = left.copy()
    for above, below in zip(tree.parent[N:] - N, tree.child[N:] - N, strict=True):
        left[below] = left[above] + taken[above]
        taken[above] += size[below]
    return left + size / 2


def _draw_at_zero(ax: Any, drawn: dict[str, Any]) -> None:
    """Draw a dendrogram without heights: links in a line, where SciPy would put them."""
    for places, heights in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        ax.plot(places, heights, color="tab:blue")
    ax.set_ylim(0.0, 1.0)
    ax.set_xticks([])


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", extra="plot", purpose="A plot")
    return pyplot.figure(layout="constrained").add_subplot()
