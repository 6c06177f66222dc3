"""How a search is divided: tiles, the rows of a worker, the length of the running lists."""

from dataclasses import dataclass

from onetrip.core.selection import Config

# More scores than neighbours are kept, so that those within the bound of the last are at hand.
_SPARE = 4
# A worker holds its queries once more, in the form that the product wants.
_ROWS_OF_A_WORKER = 8192
# A tile has this many groups for each entry of a list: fewer, and most of them pass at first.
_GROUPS_PER_ENTRY = 4
_LEAST_ROWS = 32
_MOST_COLUMNS = 1 << 16
# Below this a worker spends more on preparing the corpus than on its queries.
_QUERIES_OF_A_WORKER = 128
# Measured at 1 x 1M x 128: 120 ms a query without a product, 500 ms for any number with one.
FEW_QUERIES = 4
# Float64 differences of all pairs that take less than the tiles' calls: two thousand rows of 128.
_FEW_ELEMENTS = 1 << 18
# Up to so many pairs one thread is done before another is awake: 898 x 899 took a regressor 3.2 to
# 4.0 ms, and 4.6 to 5.8 with two; of 1,797 x 1,797 two take 12.8 to 13.9 and one 12.6 to 14.8.
_PAIRS_OF_ONE_THREAD = 1 << 20
# A worker prepares so much of the corpus at a time, 8 MiB of float32; and the least scores of its
# groups, with a copy, take no more.
_STRETCH_ELEMENTS, _STRETCH_ROWS = 1 << 21, 1 << 16
_QUERIES_OF_A_TILE = 512
# Elements of corpus rows that are gathered at a time, to stay in a core's cache: with four times as
# many, 20,000 x 20,000 x 64 takes 633 ms where this takes 482.
GATHERED = 1 << 18
# Queries that go through the corpus again together; their candidates may be whole tiles.
CAREFUL_ROWS = 64


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of `columns` corpus rows by `rows` queries, looked at in groups of `group` columns."""

    rows: int
    columns: int
    group: int


@dataclass(frozen=True, slots=True)
class Stretches:
    """Stretches of `rows` corpus rows, in tiles of `columns` by `queries`, in groups of `group`."""

    rows: int
    columns: int
    queries: int
    group: int


def make_stretches(D: int, tiling: Tiling) -> Stretches:
    """Stretches for tiles and groups of half the size: they need not outlive a selection.

    >>> make_stretches(16, Tiling(512, 2048, 16))
    Stretches(rows=65536, columns=1024, queries=512, group=8)
    >>> make_stretches(128, Tiling(227, 4608, 16))
    Stretches(rows=16128, columns=2304, queries=227, group=8)
    """
    queries, group = min(tiling.rows, _QUERIES_OF_A_TILE), max(1, tiling.group // 2)
    tile = tiling.rows * tiling.columns // 2
    columns = max(tile // queries // group, 1) * group
    rows = min(_STRETCH_ELEMENTS // (D + 1), _STRETCH_ROWS)
    return Stretches(max(rows // columns, 1) * columns, columns, queries, group)


def list_width(k: int, N: int, certified: bool) -> int:
    """Length of a query's running list.

    >>> list_width(10, 1000, True), list_width(10, 12, True), list_width(10, 1000, False)
    (14, 12, 10)
    """
    spare = max(_SPARE, k // 8) if certified else 0
    return min(k + spare, N)


def make_tiling(Q: int, N: int, width: int, config: Config) -> Tiling:
    """Tiles of the configuration's size, longer in the corpus where the lists are longer.

    >>> config = {"rows": 512, "columns": 2048, "group": 16}
    >>> make_tiling(5000, 50_000, 14, config)
    Tiling(rows=512, columns=2048, group=16)
    >>> make_tiling(5000, 50_000, 72, config)
    Tiling(rows=227, columns=4608, group=16)
    """
    group = config["group"]
    tile = config["rows"] * config["columns"]
    for_few_rows = min(tile // max(Q, 1), _MOST_COLUMNS) // group * group
    columns = max(config["columns"], _GROUPS_PER_ENTRY * width * group, for_few_rows)
    rows = max(_LEAST_ROWS, tile // columns)
    return Tiling(min(rows, max(Q, 1)), min(columns, -(-max(N, 1) // group) * group), group)


def evaluates_all(Q: int, N: int, D: int) -> bool:
    """Whether a few queries evaluate every row of a small corpus exactly, without scores.

    >>> evaluates_all(1, 899, 64), evaluates_all(1, 100_000, 64), evaluates_all(100, 100, 8)
    (True, False, False)
    """
    return Q <= FEW_QUERIES and Q * N * D <= _FEW_ELEMENTS


def rows_of_a_worker(Q: int, workers: int, tiling: Tiling) -> int:
    """Queries that one worker takes through the corpus together: even shares, even tiles.

    >>> rows_of_a_worker(20_000, 2, Tiling(512, 2048, 16))
    5000
    >>> rows_of_a_worker(300, 2, Tiling(300, 2048, 16))
    150
    """
    rounds = -(-Q // (workers * _ROWS_OF_A_WORKER))
    share = max(-(-Q // max(workers * rounds, 1)), 1)
    tiles = -(-share // tiling.rows)
    return -(-share // tiles) * tiles


def rows_of_a_tile(share: int, tiling: Tiling) -> int:
    """Queries of a tile, so that those of a worker make even ones.

    >>> rows_of_a_tile(899, Tiling(512, 2048, 16))
    450
    """
    return -(-share // -(-share // tiling.rows)) if share else tiling.rows


def suits_one_thread(Q: int, N: int) -> bool:
    """Whether so few pairs are compared that one thread does it best.

    >>> suits_one_thread(898, 899), suits_one_thread(1797, 1797)
    (True, False)
    """
    return Q * N <= _PAIRS_OF_ONE_THREAD


def splits_corpus(Q: int, N: int, width: int, workers: int, tiling: Tiling) -> bool:
    """Whether workers share the corpus rather than the queries.

    >>> splits_corpus(10, 1_000_000, 14, 2, Tiling(10, 65536, 16))
    True
    """
    return Q < workers * _QUERIES_OF_A_WORKER and N >= 4 * workers * max(width, tiling.columns)
