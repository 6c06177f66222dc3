"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem, unmeasured
from onetrip.ops.kneighbors.cost import estimate_cost
from onetrip.ops.kneighbors.device_plan import (
    LONGEST_LIST,
    bytes_of_a_query,
    few_tile,
    make_blocks,
    queries_of_a_round,
    queries_of_scores,
    room_for,
)
from onetrip.ops.kneighbors.plan import (
    FEW_QUERIES,
    GATHERED,
    list_width,
    make_stretches,
    make_tiling,
    rows_of_a_worker,
)

OPERATOR = "kneighbors"

# Seen on two cores at 20k x 20k x 64, k = 10: between 512 x 2048 and 1024 x 4096 the times lie
# within a fifth; smaller tiles spend their time on calls, smaller groups on looking into them.
DEFAULTS: Mapping[str, Config] = {
    "reference": {},
    "torch": {"rows": 512, "columns": 2048, "group": 16},
    # Seen on an H100 at 100k x 100k x 128: 4.7 ms of products and minima, 5.4 to 6.3 with smaller
    # tiles.
    "triton": {
        "BLOCK_Q": 256,
        "BLOCK_N": 128,
        "WHOLE_D": 256,
        "num_warps": 8,
        "num_stages": 3,
    },
}
# Less shared memory: 164 KiB on sm_80, 64 KiB on gfx942.
_SMALLER: Config = {**DEFAULTS["triton"], "BLOCK_Q": 128, "num_stages": 2}
_SMALLEST: Config = {**_SMALLER, "WHOLE_D": 128}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"rows": (256, 512, 1024), "columns": (2048, 4096), "group": (16, 32)},
    "triton": {
        "BLOCK_Q": (128, 256),
        "BLOCK_N": (64, 128),
        "WHOLE_D": (256,),
        "num_warps": (4, 8),
        "num_stages": (2, 3),
    },
}
# Share of the device's float32 products: a guess until `results/` has lines.
_EFFICIENCY = 0.3
# Seen on an H100 at 100k x 100k x 128. The share of its float16 products: 4.7 ms of 3.2.
_TRITON_SHARE = 0.68
# Rows that are scored again come from the L2 cache; 1.15 tiles for each neighbour hold some.
_CACHE_OVER_MEMORY = 1.8
_TILES_PER_ANSWER = 1.15
# The last three are fitted to five races (results: h100, 2026-11-22), all within a fifth of them.
# Float64 differences of the neighbours and of what may be one.
_SETTLED_NS_PER_ELEMENT = 0.006
# The k-th least of the tiles' minima, bit by bit.
_SELECTED_NS_PER_TILE = 0.02
# Checks, launches, offset and scale, and the wait for what was left.
_HOST_MS = 0.6
_HOST_OF_FEW_MS = 0.4
# The most threads that a workspace is counted for: each holds a tile and a share of the queries.
_WORKERS = 8


def neighbors_of(problem: Problem) -> int:
    """How many neighbours a query asks for."""
    asked = problem.options.get("n_neighbors")
    return problem.axes["K"] if asked is None else int(asked)  # type: ignore[call-overload]


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in DEFAULTS:
        return f"there is no implementation {impl!r}"
    Q, N, k = problem.axes["Q"], problem.axes["N"], neighbors_of(problem)
    if problem.options.get("exclude_self"):
        if Q != N:
            return f"`exclude_self` wants the corpus itself as queries, not {Q} of {N} rows"
        if k >= N:
            return f"nobody is their own neighbour, so {N} rows have no {k} neighbours each"
    elif k > N:
        return f"a corpus of {N} rows has no {k} neighbours"
    return _triton_reason(problem, k) if impl == "triton" else None


def _triton_reason(problem: Problem, k: int) -> str | None:
    if problem.device_kind != "cuda" and not problem.options.get("interpreter"):
        return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
    if problem.dtype == "float64":
        return "its products are of float16, and float64 means float64"
    if k > LONGEST_LIST:
        return f"the candidates of {k} neighbours are too many to compare each with each"
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    known = tuning.known_config(OPERATOR, impl, problem)
    if known is not None:
        return known
    if impl == "triton" and problem.hip:
        return _SMALLEST
    return _SMALLER if impl == "triton" and 0 < problem.arch < 90 else DEFAULTS[impl]


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    known = tuning.known_choice(OPERATOR, problem, unsupported_reason, default_config)
    if known is not None:
        return known
    if problem.device_kind == "cuda" and not problem.hip:
        if unsupported_reason("triton", problem) is None:
            why = "float16 products, certified" + unmeasured(problem, "h100")
            return Choice("triton", default_config("triton", problem), why)
    where = "in a CPU's cache" if problem.device_kind == "cpu" else "small"
    why = f"tiles of scores stay {where}" + unmeasured(problem)
    return Choice("torch", default_config("torch", problem), why)


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs."""
    Q, N, D = (problem.axes[letter] for letter in "QND")
    k = neighbors_of(problem)
    itemsize = 8 if problem.dtype == "float64" else 4
    if impl == "reference":
        # Distances, sorted ones and their int64 order; a wide copy of halves, or a scaled one.
        return Q * N * (3 * itemsize + 16) + 2 * (Q + N) * D * itemsize
    width = list_width(k, N, True)
    if impl == "triton":
        return _triton_bytes(problem, k, config)
    tiling = make_tiling(Q, N, width, config)
    rows = rows_of_a_worker(Q, 1 if Q <= tiling.rows else _WORKERS, tiling)
    stretch = make_stretches(D, tiling)
    # Scores, what passes of them, and the indices of what passes.
    tile = tiling.rows * tiling.columns * (itemsize + 16)
    # A stretch of the corpus, the least of its groups, twice, and what is multiplied once more.
    corpus = 2 * min(stretch.rows, N + tiling.columns) * (D + 1) * itemsize
    groups = min(stretch.rows, N) // stretch.group * stretch.queries * (2 * itemsize + 1)
    corpus += groups + 3 * GATHERED * itemsize
    # Queries as the product wants them, the running list, its exact values and their order.
    queries = rows * ((D + 1) * (itemsize + 8) + width * (itemsize + 64))
    exact = 8 << 20 if problem.device_kind == "cuda" else 4 << 20
    results = 3 * Q * k * 16
    return min(_WORKERS, -(-max(Q, 1) // rows)) * (tile + corpus + queries + exact) + results


def expected_bytes(impl: str, problem: Problem, config: Config, backward: bool) -> int:
    """What one call takes, where no query needs a second search."""
    if impl != "triton":
        return workspace_bytes(impl, problem, config)
    k = neighbors_of(problem)
    return _scores_bytes(problem, k, config) + 4 * problem.axes["Q"] * k


def _triton_bytes(problem: Problem, k: int, config: Config) -> int:
    Q, D = problem.axes["Q"], problem.axes["D"]
    results = 2 * Q * (k * 16 + 32) + (8 << 20)
    few = Q <= FEW_QUERIES and _is_euclidean(problem)
    return results + _scores_bytes(problem, k, config) + (0 if few else 8192 * D * 12)


def _scores_bytes(problem: Problem, k: int, config: Config) -> int:
    """What stands of scores at a time, and of a few queries nothing else."""
    Q, N, D = (problem.axes[letter] for letter in "QND")
    blocks = make_blocks(Q, N, D, k, config)
    tile = few_tile(N, k)
    together = min(Q, queries_of_scores(Q, N))
    scores = together * (-(-N // tile) * (tile + 1) * 4 + room_for(k) * 20)
    if Q > FEW_QUERIES:
        # The rounds of products, or a second search by differences of what they left.
        together = queries_of_a_round(Q, N, D, k, blocks)
        scores = max(scores, together * bytes_of_a_query(N, k, blocks))
    elif _is_euclidean(problem):
        return scores
    # Float16 rows, what is added to their products, and norms.
    rows = (Q + N + blocks.queries + blocks.columns + 64) * (blocks.padded * 2 + 12)
    return scores + rows


def _is_euclidean(problem: Problem) -> bool:
    return problem.options.get("metric", "euclidean") in ("euclidean", "sqeuclidean")


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency from the device's ceilings: products over the rate, passes over the bandwidth."""
    cost = estimate_cost(**problem.axes, dtype=problem.dtype, backward=backward)
    Q, N = problem.axes["Q"], problem.axes["N"]
    if impl == "triton":
        return _triton_ms(problem, device, config)
    itemsize = max(4, ITEMSIZE[problem.dtype])
    # All distances written and read by the sort, or a tile's read once from a cache.
    passes = {"reference": 8, "torch": 1}[impl]
    moved = cost.bytes + passes * Q * N * itemsize
    return cost.compute_ms(device, "float32") / _EFFICIENCY + moved / device.bandwidth_gbps * 1e-6


def _triton_ms(problem: Problem, device: Device, config: Config) -> float:
    Q, N, D = (problem.axes[letter] for letter in "QND")
    k = neighbors_of(problem)
    per_ms = device.bandwidth_gbps * 1e6
    if Q <= FEW_QUERIES:
        return _HOST_OF_FEW_MS + N * D * ITEMSIZE[problem.dtype] / per_ms
    blocks = make_blocks(Q, N, D, k, config)
    products_ms = 2 * Q * N * blocks.padded / device.tflops_for("float16") * 1e-9
    # Float16 rows of all groups with a neighbour, from a cache.
    scored = Q * k * _TILES_PER_ANSWER * blocks.columns // blocks.groups * blocks.padded * 2
    rounded = 1.5 * N * D * 4
    each_ns = blocks.tiles(N) * _SELECTED_NS_PER_TILE + k * D * _SETTLED_NS_PER_ELEMENT
    return (
        _HOST_MS
        + products_ms / _TRITON_SHARE
        + (scored / _CACHE_OVER_MEMORY + rounded) / per_ms
        + Q * each_ns * 1e-6
    )
