"""How a search on a GPU is divided: tiles, rounds of queries, parts of the corpus, lists."""

from dataclasses import dataclass

from onetrip.core.selection import Config

# Rows of a group. All rows of k groups are read again for each query: 16 rows of them for each of
# 64 neighbours are 26 GB at 100k queries.
_GROUP_OF_FEW, _GROUP_OF_MANY, _FEW_NEIGHBORS = 16, 8, 24
# Tiles are many times the neighbours, so that few of these share one.
_TILES_PER_NEIGHBOR = 4
_LEAST_COLUMNS = 16
_LEAST_ROWS = 16
_LEAST_DEPTH = 16
# Features of a step where queries do not stay on chip while the corpus streams past.
_DEPTH_STEP = 64
# Rows this long leave shared memory for shorter tiles of the corpus only.
_LONG_DEPTH, _COLUMNS_OF_LONG = 128, 64
# Minima and lists of one round of queries take this, unless half of the data is more.
_ROUND_BYTES = 160 << 20
# Programs that fill a large GPU ten times: it has 132 multiprocessors, and the last round of them
# should leave few idle.
_PROGRAMS = 1320
# Up to here all rows may be candidates.
_SHORT_CORPUS = 128
# The most neighbours, so that candidates can be compared each with each.
LONGEST_LIST = 256
# Rows of the corpus whose least score is kept, where a handful of queries read it once.
_FEW_TILE = 2048
_LEAST_FEW_TILE = 32
# Queries that are compared with a tile while it is in a cache.
QUERIES_AT_ONCE = 4
# Rows that are rounded together.
ROWS_OF_A_PROGRAM = 32


@dataclass(frozen=True, slots=True)
class Blocks:
    """Tiles [queries, columns] of products over `depth` features at a time, of `padded` in all.

    The columns of a tile are looked at in `groups`.
    """

    queries: int
    columns: int
    groups: int
    depth: int
    padded: int

    def tiles(self, N: int) -> int:
        """Tiles that cover the corpus."""
        return -(-N // self.columns)


def list_width(k: int, N: int) -> int:
    """Candidates of a query that are compared each with each: a power of two, more than k.

    >>> list_width(10, 1000), list_width(64, 1000), list_width(4, 36)
    (32, 128, 64)
    """
    wanted = N if N <= _SHORT_CORPUS else k + k // 16
    return max(32, 1 << (wanted - 1).bit_length())


def room_for(k: int) -> int:
    """Room for the tiles and the candidates of a query; most have few more than k.

    >>> room_for(10), room_for(200)
    (512, 1024)
    """
    return max(512, 4 << (k + k // 16 - 1).bit_length())


def tiles_at_a_time(k: int, queries: int) -> int:
    """Tiles, or sets of tiles, among whose minima a program of `queries` looks for the k-th least.

    >>> tiles_at_a_time(10, 8), tiles_at_a_time(64, 8), tiles_at_a_time(10, 1)
    (256, 512, 1024)
    """
    return max(256 if queries > 1 else 1024, 1 << (8 * k - 1).bit_length())


def make_blocks(Q: int, N: int, D: int, k: int, config: Config) -> Blocks:
    """Tiles of the configuration's size, smaller where there is less.

    >>> config = {"BLOCK_Q": 256, "BLOCK_N": 128, "WHOLE_D": 256}
    >>> make_blocks(100_000, 100_000, 100, 10, config)
    Blocks(queries=256, columns=128, groups=8, depth=128, padded=128)
    >>> make_blocks(100_000, 100_000, 200, 10, config)
    Blocks(queries=256, columns=64, groups=4, depth=256, padded=256)
    >>> make_blocks(13, 67, 700, 5, config)
    Blocks(queries=16, columns=16, groups=4, depth=64, padded=704)
    """
    columns = config["BLOCK_N"]
    while columns > _LEAST_COLUMNS and N < _TILES_PER_NEIGHBOR * k * columns:
        columns //= 2
    size = _GROUP_OF_FEW if k <= _FEW_NEIGHBORS else _GROUP_OF_MANY
    groups = max(4, columns // size)
    queries = max(_LEAST_ROWS, min(config["BLOCK_Q"], 1 << (Q - 1).bit_length()))
    if D > config["WHOLE_D"]:
        return Blocks(queries, columns, groups, _DEPTH_STEP, -(-D // _DEPTH_STEP) * _DEPTH_STEP)
    depth = max(_LEAST_DEPTH, 1 << (D - 1).bit_length())
    if depth > _LONG_DEPTH:
        columns, groups = min(columns, _COLUMNS_OF_LONG), min(groups, _COLUMNS_OF_LONG // size)
    return Blocks(queries, columns, groups, depth, depth)


def few_tile(N: int, k: int) -> int:
    """Rows of a tile where a handful of queries read the corpus once.

    >>> few_tile(10_000_000, 10), few_tile(700, 7)
    (2048, 32)
    """
    tile = _FEW_TILE
    while tile > _LEAST_FEW_TILE and N < _TILES_PER_NEIGHBOR * k * tile:
        tile //= 2
    return tile


def bytes_of_a_query(N: int, k: int, blocks: Blocks) -> int:
    """Minima of groups and tiles; tiles, groups and candidates in lists, with float64 values."""
    return blocks.tiles(N) * (blocks.groups + 1) * 4 + room_for(k) * 20


def queries_of_a_round(Q: int, N: int, D: int, k: int, blocks: Blocks) -> int:
    """Queries that are taken through the corpus together, so that their minima stay few.

    >>> queries_of_a_round(100_000, 100_000, 128, 10, Blocks(256, 128, 8, 128, 128))
    4352
    """
    room = max(_ROUND_BYTES, (Q + N) * D * 2)
    most = max(1, room // (bytes_of_a_query(N, k, blocks) * blocks.queries))
    return min(most, -(-Q // blocks.queries)) * blocks.queries


def queries_of_scores(Q: int, N: int) -> int:
    """Queries all of whose scores are written at a time.

    >>> queries_of_scores(1000, 100_000), queries_of_scores(1, 100_000_000)
    (416, 1)
    """
    most = _ROUND_BYTES // (4 * max(N, 1) * QUERIES_AT_ONCE) * QUERIES_AT_ONCE
    return min(Q, max(QUERIES_AT_ONCE, most))


def parts_of_corpus(rows: int, N: int, blocks: Blocks) -> int:
    """Parts of the corpus that programs take side by side, so that few queries fill a GPU too.

    >>> parts_of_corpus(4352, 100_000, Blocks(256, 128, 8, 128, 128))
    77
    """
    return max(1, min(blocks.tiles(N), _PROGRAMS // (rows // blocks.queries)))
