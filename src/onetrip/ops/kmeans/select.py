"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem, unmeasured
from onetrip.ops.kmeans.cost import DEFAULT_MAX_ITER, estimate_cost

OPERATOR = "kmeans"

# scores: of one block, 1 MiB of float32 in a core's cache; least_rows: fewer would be calls and no
# work. On a device the block is what fills it.
_CPU_TORCH: Config = {"scores": 1 << 18, "least_rows": 512}
_DEVICE_TORCH: Config = {"scores": 1 << 26, "least_rows": 512}
# Gluon kernels take their sizes from the features; the rest is as on other devices.
_TRITON: Config = {
    "BLOCK_N": 64,
    "BLOCK_K": 64,
    "BLOCK_D": 64,
    "BLOCK_R": 16,
    "num_warps": 4,
    "num_stages": 3,
}
# The interpreter takes as long for a small block as for a large one.
_INTERPRETED: Config = {**_TRITON, "BLOCK_N": 1024, "BLOCK_R": 1024}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"scores": (1 << 16, 1 << 18, 1 << 20), "least_rows": (256, 512, 2048)},
    "triton": {
        "BLOCK_N": (64, 128, 256),
        "BLOCK_K": (32, 64, 128),
        "BLOCK_D": (32, 64),
        "BLOCK_R": (16, 32),
        "num_warps": (4, 8),
        "num_stages": (2, 3),
    },
    "gluon": {"BLOCK_R": (16, 32)},
}
# Features that the kernels for Hopper hold, as many as fill its shared memory. Up to some, many
# small programs are as fast: 20 iterations of 1M x 64 with 256 centres take 7.56 ms with them and
# 6.43 with the kernel; of 4M x 32 with 100 centres 12.9 and 13.4 ms (H100, 2026-11-22).
_MOST_FEATURES = 256
_GLUON_FROM_FEATURES = 33
# Operations in float32 that take as long as what a comparison adds to a search on an H100.
_COMPARISON = 8
# Beside the search, fitted to four problems on an H100 (2026-11-22), all within an eighth:
# launches and waits of an iteration, and its labels, doubts and sums, a row.
_ITERATION_MS = 0.08
_ROW_NS = 0.06
# What a row keeps: norm, bounds in float64, labels, on a CPU; norm, what a half takes, residue,
# limit, three labels, three lists of doubts and two of sums, on a device.
_ROW_BYTES = {"torch": 64, "triton": 48, "gluon": 48}
# Counters of clusters, and padding of small tensors.
_COUNTERS_BYTES = 1 << 20


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in _SPACE:
        return f"there is no implementation {impl!r}"
    if problem.axes["K"] > problem.axes["N"] and _max_iter(problem):
        return "there are more clusters than samples, so some stay empty"
    if impl not in ("triton", "gluon"):
        return None
    if problem.dtype == "float64":
        return "its products are at most float32; float64 input is computed in float64"
    if impl == "gluon":
        return _unsupported_by_gluon(problem)
    if problem.device_kind != "cuda" and not problem.options.get("interpreter"):
        return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
    return None


def _unsupported_by_gluon(problem: Problem) -> str | None:
    if problem.device_kind != "cuda" or problem.hip or problem.arch != 90:
        return "its kernel needs a Hopper GPU (sm_90)"
    if not 16 < problem.axes["D"] <= _MOST_FEATURES or problem.axes["D"] % 4:
        return f"its kernel holds rows of 17 to {_MOST_FEATURES} features, a multiple of 4"
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    known = tuning.known_config(OPERATOR, impl, problem)
    if known is not None:
        return known
    if impl == "torch":
        return _CPU_TORCH if problem.device_kind == "cpu" else _DEVICE_TORCH
    if impl not in ("triton", "gluon"):
        return {}
    if problem.options.get("interpreter"):
        return _INTERPRETED
    return _TRITON


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    known = tuning.known_choice(OPERATOR, problem, unsupported_reason, default_config)
    if known is not None:
        return known
    for impl in ("gluon", "triton"):
        if impl == "gluon" and problem.axes["D"] < _GLUON_FROM_FEATURES:
            continue
        if problem.device_kind == "cuda" and unsupported_reason(impl, problem) is None:
            why = "scores stay in registers, half-precision products are certified"
            why += unmeasured(problem, "h100")
            return Choice(impl, default_config(impl, problem), why)
    if problem.device_kind == "cuda":
        why = "float64 throughout, block by block" + unmeasured(problem)
        return Choice("torch", default_config("torch", problem), why)
    why = "a block of scores stays in a core's cache, and rows that cannot change are left out"
    return Choice("torch", default_config("torch", problem), why)


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs: a few numbers a row, sums, centres, blocks.

    Samples that are float32 or float64, lie about the origin and stay as long as they are, are
    read where they are; a device then takes no more than this, and a block of nothing.
    """
    N, D, K = (problem.axes[letter] for letter in "NDK")
    itemsize = max(4, ITEMSIZE[problem.dtype])
    if impl == "reference":
        return 3 * N * K * itemsize + 3 * N * D * 8
    rows = N * _ROW_BYTES[impl]
    if impl in ("triton", "gluon"):
        widened = N * D * itemsize if ITEMSIZE[problem.dtype] < itemsize else 0
        # Sums in float64, three times centres in float32, and once in half precision.
        return widened + rows + K * D * (8 + 3 * 4 + 2) + _COUNTERS_BYTES
    copies = 2 * N * D * itemsize  # widened or normalised, and centred
    sums = 8 * K * D * 8
    block = 4 * (1 << 20) * 8 + 4 * 8192 * D * 8
    block += 4 * max(config["scores"], config["least_rows"] * K) * itemsize
    return copies + rows + sums + block


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency from the device's ceilings: products at their format's rate, or bytes.

    The kernels multiply float32 in half precision, compare scores, settle doubts and add sums.
    """
    iterations = _max_iter(problem)
    N, D, K = (problem.axes[letter] for letter in "NDK")
    cost = estimate_cost(N=N, D=D, K=K, dtype=problem.dtype, max_iter=iterations)
    rate = device.tflops_for(problem.dtype)
    if impl in ("triton", "gluon"):
        rate = device.tflops_for("bfloat16")
        scores = (iterations + 1) * N * K
        compare_ms = scores * _COMPARISON / device.tflops_for("float32") * 1e-9
        each_ms = _ITERATION_MS + N * _ROW_NS * 1e-6
        return (
            (cost.flops / rate * 1e-9 + compare_ms)
            + cost.bytes / device.bandwidth_gbps * 1e-6
            + (iterations + 1) * each_ms
        )
    compute_ms = cost.flops / rate * 1e-9
    memory_ms = cost.bytes / device.bandwidth_gbps * 1e-6
    if impl == "reference":
        # Distances are written, read for the least, and written again next time.
        scores = N * K * max(4, ITEMSIZE[problem.dtype])
        memory_ms += 2 * iterations * scores / device.bandwidth_gbps * 1e-6
    return max(compute_ms, memory_ms)


def _max_iter(problem: Problem) -> int:
    return int(str(problem.options.get("max_iter", DEFAULT_MAX_ITER)))
