"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem
from onetrip.ops.multinomial_nb.cost import estimate_cost

OPERATOR = "multinomial_nb"

# Up to here the classes fit one tile of a product, and nobody needs an order of the samples.
_ONE_TILE = 64
# Four warps, which pass no sums around between products; three programs at once on each of an
# H100's 132 multiprocessors, twice over: 1.47 ms for 200,000 x 5000, as four times over, and half
# of the sums to keep; 1,056 programs take 1.58.
_ONE_HOT: Config = {"programs": 792, "FLUSH": 16, "BLOCK_N": 32, "BLOCK_D": 64} | {
    "num_warps": 4,
    "num_stages": 4,
}
_DEFAULTS: Mapping[str, Config] = {
    "reference": {},
    "torch": {"rows": 8192},
    "triton": {"ROWS": 512, "BLOCK_N": 16, "BLOCK_D": 256, "num_warps": 4},
}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"rows": (1024, 8192, 65536)},
    "triton": {
        "ROWS": (256, 512, 1024),
        "BLOCK_N": (8, 16, 32),
        "BLOCK_D": (128, 256, 512),
        "num_warps": (4, 8),
    },
}
_ONE_HOT_SPACE: Mapping[str, tuple[int, ...]] = {
    "programs": (792, 1584),
    "BLOCK_N": (32, 64),
    "BLOCK_D": (64, 128),
}
# What the kernel's float32 registers hold exactly, or round once as the definition does.
KERNEL_DTYPES = ("float32", "float16", "bfloat16", "int16", "int8", "uint8")
# A product of one-hot classes passes over the samples at about half of a CPU's bandwidth.
_PASSES = {"reference": 3.0, "torch": 1.3, "triton": 1.15}


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in _DEFAULTS:
        return f"there is no implementation {impl!r}"
    if impl == "triton":
        if problem.device_kind != "cuda" and not problem.options.get("interpreter"):
            return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
        if problem.dtype not in KERNEL_DTYPES:
            return f"the kernels add in float32, which does not hold {problem.dtype}"
        if problem.axes["N"] >= 2**31:
            return "the kernels number samples with 32 bits"
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    known = tuning.known_config(OPERATOR, impl, problem) or {}
    one_hot = impl == "triton" and problem.axes["C"] <= _ONE_TILE and "ROWS" not in known
    return {**(_ONE_HOT if one_hot else _DEFAULTS[impl]), **known}


def kernel_file(impl: str, config: Config) -> str:
    """The file that runs: with ROWS, runs of sorted samples; without, products with the classes."""
    if impl != "triton":
        return "torch_impl"
    return "kernel_triton" if "ROWS" in config else "kernel_one_hot_triton"


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    if impl == "triton" and problem.axes["C"] <= _ONE_TILE:
        return _ONE_HOT_SPACE
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    return tuning.kernel_or_torch(
        OPERATOR,
        problem,
        unsupported_reason,
        default_config,
        kernel="kernels read x once and repeat to the bit",
        torch="rows are added to their class while they are in the cache",
    )


def score_classes(C: int) -> int:
    """Classes of one tile of scores.

    >>> score_classes(2), score_classes(32), score_classes(33), score_classes(1000)
    (16, 32, 64, 128)
    """
    return min(128, max(16, 1 << (C - 1).bit_length()))


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs."""
    N, D, C = (problem.axes[letter] for letter in "NDC")
    wide = 8 if problem.dtype in ("float64", "int64", "int32") else 4
    if impl == "reference":
        one_hot = N * C * (8 + 2 * wide + 8)
        widened = {"float64": 0, "float32": 0, "float16": 4, "bfloat16": 4}.get(problem.dtype, 8)
        return one_hot + widened * N * D + 16 * C * D
    if impl == "torch":
        rows = min(max(config["rows"], 8 * C), N)
        # Widened and weighted copies of a block, its one-hot classes or their labels, its sums.
        return rows * D * 2 * wide + rows * (C * wide + 24) + C * D * (wide + 8)
    if "ROWS" not in config:
        blocks = max(1, -(-D // config["BLOCK_D"]))
        return 8 * (max(1, config["programs"] // blocks) + 1) * C * (D + 1)
    runs = C + -(-N // config["ROWS"])
    # Partial sums, the runs, and the sort of the labels.
    return runs * (4 * D + 64) + 40 * N + 32 * C


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency from the device's bandwidth: passes over the samples, and the sums' traffic."""
    axes = problem.axes
    cost = estimate_cost(N=axes["N"], D=axes["D"], C=axes["C"], dtype=problem.dtype)
    samples = axes["N"] * axes["D"] * ITEMSIZE[problem.dtype]
    extra = (_PASSES[impl] - 1.0) * samples
    return (cost.bytes + extra) / device.bandwidth_gbps * 1e-6
