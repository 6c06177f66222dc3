"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem
from onetrip.ops.hdbscan.cost import estimate_cost

OPERATOR = "hdbscan"
# A row's nearest distances stand in registers.
MAX_TRITON_SAMPLES = 64
# Up to so many features distances are sums of differences, in small leaves that prune well.
_FEW_FEATURES = 6

_TORCH_FEW: Config = {"leaf": 32, "tile": 1 << 18, "extra": 10}
_TORCH_MANY: Config = {"leaf": 128, "tile": 1 << 18, "extra": 8}
# Tiles of products, rows by columns, up to so many features: the fastest of six on an H100. Columns
# of many features take the registers of more warps.
_PRODUCTS: tuple[tuple[int, Config], ...] = (
    (32, {"BLOCK_N": 64, "BLOCK_M": 64, "num_warps": 4}),
    (128, {"BLOCK_N": 128, "BLOCK_M": 64, "num_warps": 8}),
    (256, {"BLOCK_N": 64, "BLOCK_M": 32, "num_warps": 8}),
)
# Where a program has 200 KB of shared memory, and in the interpreter. With the 163 of an A100 the
# compiler spills hundreds of registers.
_ROOMY_ARCHS = (0, 90, 100)
_ROOMY_PRODUCTS: tuple[tuple[int, Config], ...] = (
    *_PRODUCTS[:-1],
    (256, {"BLOCK_N": 128, "BLOCK_M": 32, "num_warps": 8}),
    (512, {"BLOCK_N": 64, "BLOCK_M": 32, "num_warps": 8}),
    (1024, {"BLOCK_N": 32, "BLOCK_M": 32, "num_warps": 16}),
)
_MANY_PRODUCT_FEATURES = 64
# Lists hold so many near points more than core distances need: most edges are among them.
EXTRA_SAMPLES = 11
# Rows of lists that are looked through at once for pairs as heavy as edges.
TIED_ROWS = 1 << 16
# A tile of products keeps one column for each listed point.
MAX_PRODUCT_SAMPLES = 32
# Sums of differences: a tile takes 32 registers a thread, in float64 half as many rows.
_DIFFERENCES: Config = {"BLOCK": 64, "num_warps": 4}
_DIFFERENCES_DOUBLE: Config = {"BLOCK": 32, "num_warps": 4}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"leaf": (16, 32, 64, 128), "tile": (1 << 16, 1 << 18), "extra": (2, 6, 10)},
    "triton": {"BLOCK_N": (64, 128), "BLOCK_M": (64, 128), "num_warps": (4, 8)},
}
_DIFFERENCES_SPACE: Mapping[str, tuple[int, ...]] = {"BLOCK": (32, 64), "num_warps": (4, 8)}
# Passes over all pairs that data without structure need: core distances, then rounds that shrink.
_PASSES = 4
# Of blobs of 16 and 32 features on an H100, 50,000 to a million points: launches and rounds, the
# order and the lists of a point, and what boxes leave of a pair in all passes, at the float32 rate.
_ROUNDS_MS = 7.13
_POINT_MS = 3.75e-05
_PAIR_OPERATIONS = 17.6
# Of more than 64 features boxes leave nearly all pairs: of a pair and feature.
_MANY_FEATURES_OPERATIONS = 1.69


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in _SPACE:
        return f"there is no implementation {impl!r}"
    if impl != "triton":
        return None
    if problem.device_kind != "cuda" and not problem.options.get("interpreter"):
        return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
    if _samples(problem) > MAX_TRITON_SAMPLES:
        return f"Triton kernels hold at most {MAX_TRITON_SAMPLES} nearest distances a row"
    if config is not None and "BLOCK_N" in config:
        samples = _most_samples(config)
        if not _fits(problem, samples):
            return (
                f"tiles of products of {config['BLOCK_M']} columns take at most "
                f"{_tiles(problem)[-1][0]} features and {samples} samples; "
                "give a BLOCK for sums of differences"
            )
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    known = tuning.known_config(OPERATOR, impl, problem)
    if known is not None:
        return known
    if impl == "torch":
        return _TORCH_FEW if problem.axes["D"] <= _FEW_FEATURES else _TORCH_MANY
    if impl == "triton":
        if _by_products(problem):
            return _products(problem)
        return sums_of_differences(double=problem.dtype == "float64")
    return {}


def sums_of_differences(*, double: bool) -> Config:
    """Tiles of sums of differences in float32, or in float64."""
    return _DIFFERENCES_DOUBLE if double else _DIFFERENCES


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    if impl == "triton" and not _by_products(problem):
        return _DIFFERENCES_SPACE
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    return tuning.kernel_or_torch(
        OPERATOR,
        problem,
        unsupported_reason,
        default_config,
        kernel="float16 products propose edges on chip",
        torch="lists of neighbours settle most edges, boxes rule out most pairs of points",
    )


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs."""
    N, D = problem.axes["N"], problem.axes["D"]
    if impl == "reference":
        return N * N * (8 * D + 64)  # differences, distances, reachability, sorted pairs
    if impl == "triton" and "BLOCK_N" in config:
        slots = _slots(problem)
        # Lists of places and squares; what rounds keep of a row; the points in the tree's order,
        # and as they are rounded.
        if problem.dtype == "float64":
            rows = N * (12 * slots + 200 + 44 * max(D, 1))
        else:
            rows = N * (8 * slots + 120 + 8 * max(D, 1))
        return max(rows + _tied_bytes(slots, N), _ordering_bytes(problem)) + (1 << 17)
    if impl == "triton":
        # Places, components, bests and bounds of rows; the points in the tree's order.
        return N * (200 + 6 * max(8, ITEMSIZE[problem.dtype]) * max(D, 1)) + (1 << 16)
    K = min(_samples(problem) + config["extra"], N)
    leaf = min(config["leaf"], N)
    lists = N * K * 72  # places, squares, weights, and a permutation of each
    points = N * D * 96  # in float64: in the tree's order, its levels, and the laid out tiles
    tiles = 48 * max(config["tile"], leaf * leaf) + 16 * min(4096, N) * leaf * max(D, 1)
    return lists + points + tiles + 400 * N + (1 << 16)


def expected_bytes(impl: str, problem: Problem, config: Config, backward: bool) -> int:
    """Bytes of a usual call: few pairs are as heavy as two edges, one copy of points is left."""
    most = workspace_bytes(impl, problem, config)
    if impl != "triton" or "BLOCK_N" not in config:
        return most
    N, D = problem.axes["N"], problem.axes["D"]
    usual = most - _tied_bytes(_slots(problem), N) - 4 * N * D
    return max(usual, _ordering_bytes(problem))


def _ordering_bytes(problem: Problem) -> int:
    """While points are put in the tree's order: as they come, centred, and as they will lie."""
    N, D = problem.axes["N"], problem.axes["D"]
    return N * (3 * max(4, ITEMSIZE[problem.dtype]) * D + 120)


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency of clustered data by tiles of products, else of every pair in every pass."""
    cost = estimate_cost(**problem.axes, dtype=problem.dtype, backward=backward)
    if impl == "triton" and "BLOCK_N" in config:
        N, D, rate = problem.axes["N"], problem.axes["D"], device.tflops_for("float32")
        many = D > _MANY_PRODUCT_FEATURES
        operations = _MANY_FEATURES_OPERATIONS * D if many else _PAIR_OPERATIONS
        return _ROUNDS_MS + N * _POINT_MS + N * N * operations / rate * 1e-9
    rate = device.tflops_for("float64" if problem.dtype == "float64" else "float32")
    compute_ms = 2 * cost.flops / rate * 1e-9 * _PASSES
    return max(compute_ms, cost.memory_ms(device))


def _by_products(problem: Problem) -> bool:
    """Whether tiles of float16 products propose what differences decide."""
    return _fits(problem, _most_samples(_products(problem)))


def _products(problem: Problem) -> Config:
    tiles = _tiles(problem)
    return next((tile for features, tile in tiles if features >= problem.axes["D"]), tiles[-1][1])


def _tiles(problem: Problem) -> tuple[tuple[int, Config], ...]:
    roomy = problem.arch in _ROOMY_ARCHS and not problem.hip
    return _ROOMY_PRODUCTS if roomy else _PRODUCTS


def _most_samples(config: Config) -> int:
    """Samples that tiles take: the least of each column bounds the distance of that many."""
    return min(MAX_PRODUCT_SAMPLES, config["BLOCK_M"] - EXTRA_SAMPLES)


def _fits(problem: Problem, samples: int) -> bool:
    return problem.axes["D"] <= _tiles(problem)[-1][0] and _samples(problem) <= samples


def _samples(problem: Problem) -> int:
    return int(problem.options.get("min_samples", 5))  # type: ignore[call-overload]


def list_slots(nearest: int) -> int:
    """Places in the list of a point that is to hold so many nearest: twice as many, or more.

    >>> list_slots(16), list_slots(17)
    (32, 64)
    """
    return 1 << (2 * nearest - 1).bit_length()


def _slots(problem: Problem) -> int:
    return list_slots(min(_samples(problem) + EXTRA_SAMPLES, problem.axes["N"]))


def _tied_bytes(slots: int, N: int) -> int:
    """Lists whose equal weights are looked at by torch, so many rows at once."""
    return 24 * slots * min(N, TIED_ROWS)
