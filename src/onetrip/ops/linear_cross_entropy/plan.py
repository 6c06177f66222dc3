"""How a memory budget becomes tiles: what is kept, what is recomputed, how wide a tile is.

The backward pass walks the vocabulary in tiles of `columns`. Columns below `kept` have their
exponentials stored by the forward pass and cost two products in the backward pass; the others
cost a third, to form the logits again. So the whole takes ``4 - kept / V`` products.

The float32 accumulator of the input's gradient is often the largest piece. Where the budget is
small it is borrowed from the weight's gradient: the memory of that gradient's last columns is free
until the walk reaches them, so their share of the input's gradient is added first, and only their
logits are formed a third time. Where the weight is frozen or the vocabulary short, the input's
gradient is computed in a second sweep, `rows` tokens at a time.
"""

import functools
from dataclasses import dataclass

from onetrip.core.cost import ITEMSIZE

# Tiles and kept columns are multiples of this, the widest tile of any kernel.
COLUMN_STEP = 256
# Columns of the narrowest tile whose logits are kept: what bases take room for.
MIN_KEPT_TILE = 64
# Wider tiles than this no longer make the products faster (results: 2026-11-22-ladder).
MAX_COLUMNS = 16384
# float32 vectors over the rows: statistics, coefficients and their temporaries.
ROW_VECTORS = 24
# What one pass over the accumulator costs, in columns' worth of a product: a device's operations
# per byte of traffic (H100, bfloat16: 798e12 / 3e12), times 8 bytes over 2 operations an entry.
COLUMNS_PER_PASS = 1064


@dataclass(frozen=True, slots=True)
class Plan:
    """Tile sizes and the workspace they add up to, in bytes.

    `borrowed` columns of the weight's gradient hold the accumulator; 0 where it has its own.
    """

    columns: int
    kept: int
    rows: int
    relative: bool
    workspace_bytes: int
    borrowed: int = 0


def kept_rows(N: int, *, stores_exponentials: bool) -> int:
    """Rows of the matrix of kept columns: one a token, and below them the bases of kept logits.

    Logits in half precision are kept relative to the largest of their row in their tile, its base,
    for only what is small is stored to the last digits that a probability needs.
    """
    return N if stores_exponentials else N + -(-N // MIN_KEPT_TILE)


def padded(size: int, step: int = COLUMN_STEP) -> int:
    """Round up to a multiple of `step`."""
    return -(-size // step) * step


@functools.lru_cache(maxsize=512)
def make_plan(
    *,
    N: int,
    D: int,
    V: int,
    dtype: str,
    budget: int,
    grad_input: bool,
    grad_weight: bool,
    relative: bool,
    can_keep: bool,
    scratch_bytes: int,
    max_columns: int = MAX_COLUMNS,
    stores_exponentials: bool = True,
) -> Plan:
    """Divide `budget` bytes among accumulator, kept columns and tile.

    Parameters
    ----------
    relative : kept columns can be used as they are, scaled by row (plain cross entropy); needs
        one scaled copy of the input.
    can_keep : whether the forward pass can store columns at all.
    scratch_bytes : bytes that one logit of a tile takes in the backward pass.
    stores_exponentials : kept columns hold exponentials, else logits and their bases.

    Examples
    --------
    >>> gemma = dict(N=8192, D=2304, V=256000, dtype="bfloat16", grad_input=True,
    ...     grad_weight=True, relative=True, can_keep=True, scratch_bytes=2)
    >>> make_plan(budget=256 * 2**20, **gemma).kept
    0
    >>> make_plan(budget=5 * 2**30, **gemma).kept
    256000
    """
    itemsize = ITEMSIZE[dtype]
    width = padded(V)
    vectors = ROW_VECTORS * 4 * N
    accumulator = 4 * N * D if grad_input and dtype != "float32" else 0
    column_bytes = max(kept_rows(N, stores_exponentials=stores_exponentials) * itemsize, 1)
    tile_column_bytes = max(N * scratch_bytes, 1)

    def columns_in(room: int, most: int = max_columns) -> int:
        fit = min(most, width, room // tile_column_bytes)
        return max(fit // COLUMN_STEP * COLUMN_STEP, COLUMN_STEP)

    room = budget - vectors - accumulator
    columns = columns_in(room)
    plans = [Plan(columns, 0, N, False, vectors + accumulator + columns * tile_column_bytes)]
    if can_keep:
        copy = N * D * itemsize if relative and grad_weight else 0
        if relative and room >= copy + width * column_bytes:
            used = vectors + accumulator + copy + width * column_bytes
            plans.append(Plan(columns, width, N, True, used))
        for tile in (4096, 8192, 16384):
            columns = columns_in(room, min(tile, max_columns))
            rest = room - copy - columns * tile_column_bytes
            kept = min(width, rest // column_bytes // COLUMN_STEP * COLUMN_STEP)
            if kept > 0:
                used = budget - rest + kept * column_bytes
                plans.append(Plan(columns, kept, N, relative, used))
    if accumulator:
        room = budget - vectors
        columns = columns_in(room)
        tile_bytes = columns * tile_column_bytes
        borrowed = padded(-(-4 * N // itemsize))
        if grad_weight and 2 * borrowed <= V:
            plans.append(Plan(columns, 0, N, False, vectors + tile_bytes, borrowed))
        per_row = 4 * D + columns * scratch_bytes
        rows = max(min(N - 1, max(room, 0) // per_row), 1)
        used = vectors + max(tile_bytes if grad_weight else 0, rows * per_row)
        plans.append(Plan(columns, 0, rows, False, used))
    within = [plan for plan in plans if plan.workspace_bytes <= budget]
    if not within:
        return min(plans, key=lambda plan: plan.workspace_bytes)
    return min(within, key=lambda plan: _products(plan, N, V, grad_weight))


def _products(plan: Plan, N: int, V: int, grad_weight: bool) -> float:
    """Time of a plan in units of one product of all logits, passes over the accumulator included.

    Ties go to the plan that stands first: the simplest.
    """
    sweeps = 1 if plan.rows >= N else 1 + grad_weight
    passes = -(-(V - min(plan.kept, V)) // plan.columns) + (plan.kept > 0)
    formed = sweeps + (plan.borrowed - min(plan.kept, V)) / max(V, 1)
    return formed + COLUMNS_PER_PASS * passes / max(V, 1)


def rows_per_block(N: int, D: int, V: int, budget: int) -> int:
    """Rows whose logits and scaled inputs fit the budget; multiples of 16 feed the product.

    >>> rows_per_block(N=4096, D=768, V=50257, budget=64 * 2**20)
    320
    """
    rows = (budget - 4 * ROW_VECTORS * N) // (4 * (V + 2 * D))
    return max(rows // 16 * 16, min(rows, 16), 1)
