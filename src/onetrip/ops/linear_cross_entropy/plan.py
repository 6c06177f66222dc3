"""How a memory budget becomes tiles: what is kept, what is recomputed, how wide a tile is.

The backward pass walks the vocabulary in tiles of `columns`. Columns below `kept` have their
exponentials stored by the forward pass and cost two products in the backward pass; the others
cost a third, to form the logits again. So the whole takes ``4 - kept / V`` products.

When even the float32 accumulator of the input's gradient does not fit, that gradient is computed
in a second sweep over `rows` tokens at a time, which costs a fifth product and almost no memory.
"""

import functools
from dataclasses import dataclass

from onetrip.core.cost import ITEMSIZE

# Tiles and kept columns are multiples of this, the widest tile of any kernel.
COLUMN_STEP = 256
# Wider tiles than this no longer make the products faster (results: 2026-11-22-ladder).
MAX_COLUMNS = 16384
# Below this width the products starve, so the second sweep pays.
MIN_COLUMNS = 1024
# Keeping fewer columns than this saves less than the extra launches cost.
MIN_KEPT = 1024
# float32 vectors over the rows: statistics, coefficients and their temporaries.
ROW_VECTORS = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """Tile sizes and the workspace they add up to, in bytes."""

    columns: int
    kept: int
    rows: int
    relative: bool
    workspace_bytes: int


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
) -> Plan:
    """Divide `budget` bytes among accumulator, kept columns and tile.

    Parameters
    ----------
    relative : kept columns can be used as they are, scaled by row (plain cross entropy); needs
        one scaled copy of the input.
    can_keep : whether the forward pass can store columns at all.
    scratch_bytes : bytes that one logit of a tile takes in the backward pass.

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
    free = budget - vectors - accumulator
    kept = 0
    relative_copy = N * D * itemsize if relative and grad_weight else 0
    if can_keep:
        room = free - relative_copy
        tile = 0 if relative and room >= width * N * itemsize else min(max_columns, 8192)
        kept = (room - tile * N * scratch_bytes) // max(N * itemsize, 1)
        kept = max(0, min(width, kept // COLUMN_STEP * COLUMN_STEP))
        kept = 0 if kept < min(MIN_KEPT, width) else kept
    if kept:
        free -= kept * N * itemsize + relative_copy
    rows = N
    columns = min(max_columns, width, free // max(N * scratch_bytes, 1))
    if not kept and columns < min(MIN_COLUMNS, width) and accumulator:
        # Two sweeps: the weight's gradient over all rows, then the input's over a few rows.
        free = budget - vectors
        columns = min(max_columns, width, free // max(N * scratch_bytes, 1))
        columns = max(columns // COLUMN_STEP * COLUMN_STEP, COLUMN_STEP)
        per_row = 4 * D + columns * scratch_bytes
        rows = max(min(N, max(free, 0) // per_row), 1)
        used = max(columns * N * scratch_bytes if grad_weight else 0, rows * per_row)
        return Plan(columns, 0, rows, False, vectors + used)
    columns = max(columns // COLUMN_STEP * COLUMN_STEP, COLUMN_STEP)
    needs_tile = kept < width or not relative
    used = vectors + accumulator
    if kept:
        used += kept * N * itemsize + relative_copy
    if needs_tile:
        used += columns * N * scratch_bytes
    return Plan(columns, kept, rows, relative and kept > 0, used)


def rows_per_block(V: int, D: int, budget: int) -> int:
    """Rows whose logits and scaled inputs fit the budget; multiples of 16 feed the product.

    >>> rows_per_block(V=50257, D=768, budget=64 * 2**20)
    320
    """
    rows = (budget - 4 * ROW_VECTORS * 1024) // (4 * (V + 2 * D))
    return max(rows // 16 * 16, min(rows, 16), 1)
