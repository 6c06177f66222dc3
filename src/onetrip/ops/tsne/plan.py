"""How tsne goes over pairs: tiles, and whether affinities are kept. Neither torch nor triton."""

from collections.abc import Mapping

from onetrip.core.cost import ITEMSIZE

# Bytes for kept affinities where the caller names none: all pairs of 11,000 samples in float32,
# of 23,000 on a GPU.
_MEMORY_BUDGETS = {"cpu": 256 << 20, "cuda": 1 << 30}
# float64 elements of a block of rows whose widths are searched together: 8 MiB.
_SEARCH_ELEMENTS = 1 << 20


def result_itemsize(dtype: str) -> int:
    """Bytes of a number of the embedding: float64 for float64, else float32."""
    return max(4, ITEMSIZE[dtype])


def tiles(N: int, tile: int) -> list[tuple[int, int, int, int]]:
    """Tiles on and above the diagonal: rows from and to, columns from and to.

    >>> tiles(3, 2)
    [(0, 2, 0, 2), (0, 2, 2, 3), (2, 3, 2, 3)]
    """
    edges = [(begin, min(begin + tile, N)) for begin in range(0, N, tile)]
    return [(*rows, *columns) for i, rows in enumerate(edges) for columns in edges[i:]]


def kept_bytes(N: int, tile: int, itemsize: int) -> int:
    """Bytes of the affinities on and above the diagonal.

    >>> kept_bytes(3, 2, 4)
    28
    """
    whole, rest = divmod(N, tile)
    diagonal = whole * tile**2 + rest**2
    return itemsize * (N * N + diagonal) // 2


def keeps_affinities(
    N: int, tile: int, itemsize: int, memory_budget: int | None, device_kind: str
) -> bool:
    """Whether the affinities fit the budget; they are recomputed from x where they do not.

    >>> keeps_affinities(10_000, 512, 4, None, "cpu"), keeps_affinities(20_000, 64, 4, None, "cuda")
    (True, True)
    >>> keeps_affinities(100_000, 64, 4, None, "cuda")
    False
    """
    budget = memory_budget
    if budget is None:
        budget = _MEMORY_BUDGETS.get(device_kind, _MEMORY_BUDGETS["cpu"])
    return kept_bytes(N, tile, itemsize) <= budget


def search_rows(N: int) -> int:
    """Rows whose widths are searched together."""
    return max(1, min(N, _SEARCH_ELEMENTS // max(1, N)))


def workspace_bytes(
    axes: Mapping[str, int], dtype: str, tile: int, n_components: int, kept: bool
) -> int:
    """Bytes beyond input and results on a CPU: kept affinities, tiles, a copy of x in float64."""
    N, D = axes["N"], axes["D"]
    edge = min(tile, N)
    # Seven tiles of an iteration or of affinities in float64, or seven blocks of the search.
    blocks = 8 * 7 * max(edge * edge, search_rows(N) * N)
    vectors = 8 * N * (16 + 12 * n_components)
    affinities = kept_bytes(N, tile, result_itemsize(dtype)) if kept else 0
    return affinities + blocks + vectors + 8 * 3 * N * D
