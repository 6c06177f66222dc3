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
    return kept_bytes(N, tile, itemsize) <= _budget_bytes(memory_budget, device_kind)


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


# Rows, columns and warps of a tile of distances on a GPU. Every size is padded to whole tiles.
DISTANCE_TILE = (16, 512, 4)
# Bytes of the strip of distances that is searched, or pulled by, together.
_STRIP_BYTES = 64 << 20
# A pair whose p(j | i) + p(i | j) is at most this over N is on no list. All that are dropped are at
# most 1e-8 of a sample's mass then, and so of the whole: a sixth of float32's unit.
LEAST_SHARE = 1e-8
# Bytes of an entry of the lists: index and p.
LIST_ITEMSIZE = 8


def padded(N: int) -> int:
    """Samples, padded to whole tiles of distances.

    >>> padded(513)
    1024
    """
    return -(-N // DISTANCE_TILE[1]) * DISTANCE_TILE[1]


def strip_rows(N: int) -> int:
    """Rows of a strip of distances: whole tiles, and no more than there are.

    >>> strip_rows(20), strip_rows(20_000), strip_rows(10_000_000)
    (32, 816, 16)
    """
    tile = DISTANCE_TILE[0]
    fit = _STRIP_BYTES // (4 * padded(N)) // tile
    return tile * max(1, min(-(-N // tile), fit))


def row_block(N: int) -> int:
    """Columns that a program of one row takes at a time: 1024, or a power of two that holds all.

    >>> row_block(20), row_block(20_000)
    (32, 1024)
    """
    return min(1024, max(32, 1 << (N - 1).bit_length()))


def keeps_lists(entries: int, memory_budget: int | None) -> bool:
    """Whether lists of so many pairs fit the budget; pairs are recomputed where they do not.

    >>> keeps_lists(20_000_000, None), keeps_lists(1, 0)
    (True, False)
    """
    return LIST_ITEMSIZE * entries <= _budget_bytes(memory_budget, "cuda")


def expected_entries(N: int) -> int:
    """Entries of lists to expect, where x is not there to tell: a pair in twenty counts.

    That is the share of twenty clusters whose members all count to each other, as in the bars.

    >>> expected_entries(20_000)
    20000000
    """
    return N * N // 20


def device_workspace_bytes(
    axes: Mapping[str, int], n_components: int, splits: int, memory_budget: int | None
) -> int:
    """Bytes beyond input and results on a GPU, at most: a copy of x, a strip, lists, vectors.

    >>> device_workspace_bytes({"N": 100_000, "D": 50}, 2, 8, 0) >> 20
    198
    """
    N, D = axes["N"], axes["D"]
    stride = padded(N)
    # A list is padded to whole blocks, each of 1 KiB.
    most = LIST_ITEMSIZE * N * (-(-N // 128) * 128)
    lists = min(most, _budget_bytes(memory_budget, "cuda"))
    strip = 4 * strip_rows(N) * stride
    vectors = 4 * stride * (n_components * (6 + splits) + splits + 24)
    return lists + strip + vectors + 4 * D * stride + 20 * N * D


def _budget_bytes(memory_budget: int | None, device_kind: str) -> int:
    if memory_budget is not None:
        return memory_budget
    return _MEMORY_BUDGETS.get(device_kind, _MEMORY_BUDGETS["cpu"])
