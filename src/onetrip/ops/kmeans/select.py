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
# Features that the kernel for Hopper holds, as many as fill its shared memory; up to some, many
# small programs search faster: 0.49 against 0.65 ms a pass of 4M x 32 and 100 centres, 0.28 against
# 0.33 of 1M x 64 and 256 (H100, tensor cores taken in no order).
_MOST_FEATURES = 256
_GLUON_FROM_FEATURES = 65
# Operations in float32 that take as long as to compare one score: 0.42 ms for 10^9 on an H100.
_COMPARISON = 23
# Beside the search, fitted to four races (results: h100, 2026-11-22), all within a tenth of them:
# launches and waits of an iteration, and its labels, doubts and sums, a row.
_ITERATION_MS = 0.24
_ROW_NS = 0.08
# A row's labels, bounds in float64, norm, and the sums' share: what both implementations keep.
_ROW_BYTES = 64


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
    return _INTERPRETED if problem.options.get("interpreter") else _TRITON


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    tuned = tuning.nearest(OPERATOR, problem)
    if tuned is not None and unsupported_reason(tuned.impl, problem) is None:
        why = f"tuned on this device for the nearest recorded problem {dict(tuned.axes)}"
        return Choice(tuned.impl, tuned.config, why, tuned.evidence)
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
    """Bytes beyond inputs and outputs: a centred copy, a few numbers a row, blocks, sums."""
    N, D, K = (problem.axes[letter] for letter in "NDK")
    itemsize = max(4, ITEMSIZE[problem.dtype])
    if impl == "reference":
        return 3 * N * K * itemsize + 3 * N * D * 8
    copies = 2 * N * D * itemsize  # widened or normalised, and centred
    sums = 8 * K * D * 8
    block = 4 * (1 << 20) * 8 + 4 * 8192 * D * 8
    if impl == "torch":
        block += 4 * max(config["scores"], config["least_rows"] * K) * itemsize
    return copies + N * _ROW_BYTES + sums + block


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency from the device's ceilings: products at their format's rate, or bytes.

    The kernels multiply float32 in half precision, compare scores, and settle doubts and sums.
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
