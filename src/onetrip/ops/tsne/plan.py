"""How tsne goes over pairs: tiles, and whether affinities are kept. Neither torch nor triton."""

from collections.abc import Mapping

from onetrip.core.cost import ITEMSIZE

# Bytes for kept affinities in plain torch where the caller names none: all pairs of 11,000 samples
# in float32 on a CPU, of 23,000 on a GPU.
_MEMORY_BUDGETS = {"cpu": 256 << 20, "cuda": 1 << 30}
# Bytes for lists of neighbours, but at most a tenth of the device's memory: 5,000 neighbours of
# each of 200,000 samples.
_LIST_BUDGET_BYTES = 8 << 30
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

    >>> keeps_affinities(10_000, 512, 4, None, "cpu"), keeps_affinities(20_000, 512, 4, None, "cpu")
    (True, False)
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


# Rows of a tile of distances on a GPU, and most of its columns: 8 rows and 4 columns to a thread.
# On an H100, 800 rows of 20,000 samples with 128 features take 0.25 ms; 16 rows 0.27, 32 rows 0.31.
TILE_ROWS = 8
_TILE_COLUMNS = 512
_LEAST_COLUMNS = 512
_LONG_ROW = 32768
# Rows of few samples that a program goes over together; strips are whole groups.
_GROUP = 16
# Bytes of the strip of distances that is searched, or pulled by, together.
_STRIP_BYTES = 64 << 20
# A pair whose p(j | i) + p(i | j) is at most this over N is on no list. All that are dropped are at
# most 1e-8 of a sample's mass then, and so of the whole: a sixth of float32's unit.
LEAST_SHARE = 1e-8
# Bytes of an entry of the lists: index and p.
LIST_ITEMSIZE = 8
# Lists end on a whole block of the kernel that reads them.
LIST_BLOCK = 128
# Rows and columns of a tile of kept affinities on a GPU, where most pairs count.
SIDE = 64
# Programs that share the tiles of two strips of rows.
PULL_PARTS = 8
# With fewer samples the launch that sums what tiles pull costs more than lists do.
_TILES_FROM = 4096


def tile_columns(N: int) -> int:
    """Columns of a tile of distances: a power of two, no more than hold all samples.

    >>> tile_columns(20), tile_columns(20_000)
    (32, 512)
    """
    return min(_TILE_COLUMNS, max(32, 1 << (N - 1).bit_length()))


def padded(N: int) -> int:
    """Samples, padded to whole tiles of distances.

    >>> padded(20), padded(513)
    (32, 1024)
    """
    return -(-N // tile_columns(N)) * tile_columns(N)


def strip_rows(N: int) -> int:
    """Rows of a strip of distances: whole groups, and no more than there are.

    >>> strip_rows(20), strip_rows(20_000), strip_rows(10_000_000)
    (32, 816, 16)
    """
    fit = _STRIP_BYTES // (4 * padded(N)) // _GROUP
    return _GROUP * max(1, min(-(-N // _GROUP), fit))


def push_columns(N: int, splits: int, block: int) -> tuple[int, int]:
    """Columns that one program of the push takes, and programs that share a row.

    Whole blocks, and not too few; the last program may have fewer, none has no column.

    >>> push_columns(60, 8, 32), push_columns(20_000, 8, 32)
    ((64, 1), (2528, 8))
    """
    blocks = -(-N // block)
    least = min(blocks, _LEAST_COLUMNS // block)
    each = max(-(-blocks // splits), least)
    return each * block, -(-blocks // each)


def row_block(N: int) -> int:
    """Columns that a program of one row takes at a time, a power of two.

    A strip has fewer rows the longer they are: their programs are larger then.

    >>> row_block(20), row_block(20_000), row_block(100_000)
    (32, 1024, 4096)
    """
    return min(4096 if N > _LONG_ROW else 1024, max(32, 1 << (N - 1).bit_length()))


def rows_together(N: int) -> int:
    """Rows of such a program: a group of few samples, one of many.

    >>> rows_together(20), rows_together(20_000)
    (16, 1)
    """
    return _GROUP if N <= _LEAST_COLUMNS else 1


def row_warps(N: int) -> int:
    """Warps of such a program: eight columns to a thread of long rows.

    >>> row_warps(20), row_warps(20_000), row_warps(100_000)
    (4, 4, 16)
    """
    return 16 if N > _LONG_ROW else 4


def sides(N: int) -> int:
    """Strips of `SIDE` samples."""
    return -(-N // SIDE)


def tile_count(N: int) -> int:
    """Tiles of affinities on and above the diagonal.

    >>> tile_count(64), tile_count(20_000)
    (1, 49141)
    """
    return sides(N) * (sides(N) + 1) // 2


def kept(N: int, entries: int, memory_budget: int | None, memory_bytes: int) -> str | None:
    """How a device keeps the affinities of N samples of which so many pairs count.

    As "lists" of the pairs that count, or as "tiles" of all pairs on and above the diagonal where
    these are smaller; None, and they are recomputed, where neither fits the budget. By default the
    budget is no more than a tenth of the device's memory.

    >>> kept(20_000, 20_000_000, None, 80 << 30), kept(20_000, 20_000_000, None, 1 << 30)
    ('lists', None)
    >>> kept(20_000, 400_000_000, None, 80 << 30)
    'tiles'
    """
    budget = memory_budget
    if budget is None:
        budget = min(_LIST_BUDGET_BYTES, memory_bytes // 10)
    of_lists, of_tiles = LIST_ITEMSIZE * entries, 4 * SIDE**2 * tile_count(N)
    if N >= _TILES_FROM and of_tiles < of_lists:
        return "tiles" if of_tiles <= budget else None
    return "lists" if of_lists <= budget else None


def expected_entries(N: int, counted_share: float = 0.05) -> int:
    """Entries of lists to expect, where x is not there to tell: a pair in twenty counts.

    That is the share of twenty clusters whose members all count to each other, as in the bars; of
    few samples, all count.

    >>> expected_entries(100), expected_entries(20_000)
    (10000, 20000000)
    """
    return N * min(N, max(512, round(N * counted_share)))


def kept_workspace_bytes(N: int, n_components: int, entries: int, memory_budget: int | None) -> int:
    """Bytes of what a large device keeps of the affinities, and of the sums that tiles need."""
    # Every list is padded to a whole block, of 1 KiB.
    entries += LIST_BLOCK * N
    how = kept(N, entries, memory_budget, 10 * _LIST_BUDGET_BYTES)
    if how == "tiles":
        sums = (sides(N) + PULL_PARTS) * n_components * padded(N)
        return 4 * (SIDE**2 * tile_count(N) + sums)
    if how is None and memory_budget is not None:
        return 0
    # Fewer pairs may count than are expected, and then fit.
    return min(LIST_ITEMSIZE * entries, _LIST_BUDGET_BYTES)


def device_workspace_bytes(
    axes: Mapping[str, int], n_components: int, splits: int, kept_bytes: int
) -> int:
    """Bytes beyond input and results on a GPU: a copy of x, a strip, what is kept, vectors.

    >>> device_workspace_bytes({"N": 100_000, "D": 50}, 2, 8, 0) >> 20
    198
    """
    N, D = axes["N"], axes["D"]
    stride = padded(N)
    strip = 4 * strip_rows(N) * stride
    vectors = 4 * stride * (n_components * (6 + splits) + splits + 24)
    return kept_bytes + strip + vectors + 4 * D * stride + start_bytes(axes)


def start_bytes(axes: Mapping[str, int]) -> int:
    """Bytes of the copies of x that the start makes on a GPU, and lets go of.

    >>> start_bytes({"N": 1000, "D": 50})
    1000000
    """
    return 20 * axes["N"] * axes["D"]
