"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem
from onetrip.ops.truncated_svd import device_room, plan
from onetrip.ops.truncated_svd.cost import estimate_cost

OPERATOR = "truncated_svd"

# 2 MiB of float64, the second-level cache of a core. On a Xeon with 2 MiB a core, one thread took
# 5.0 ms of CPU time for 17,970 x 64 with 2^17 elements, 6.0 with 2^16 and 6.9 with 2^19; two
# threads took 334 ms for 100,000 x 256 with 2^19 and 1551 with 2^17 (busy machine).
_TILE = {"tile_elements": 1 << 18}
# Tiles in float64 that stay in the second-level cache of a device: 32 MiB.
_DEVICE_TILE = {"tile_elements": 1 << 22}
_DEFAULTS: Mapping[str, Config] = {
    "reference": {},
    "torch": _TILE,
    "triton": {
        **_DEVICE_TILE,
        **{"programs": 396, "FLUSH": 64},
        **{"BLOCK_N": 32, "BLOCK_S": 128, "num_warps": 8, "num_stages": 3},
    },
}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"tile_elements": (1 << 17, 1 << 19, 1 << 21)},
    "triton": {"BLOCK_N": (32, 64), "BLOCK_S": (64, 128), "programs": (132, 264, 396)},
}
# Architectures whose shared memory holds the tiles; float16 products run on others too.
_ROOMY = (80, 90, 100)
# Operations per element cubed of eigenvectors, and on a GPU the time of each column besides: its
# launches wait for each other. 2.2 ms for 256 columns and 10.9 for 1024 on an H100.
_EIGEN_FLOPS = 26.0
_EIGEN_COLUMN_MS = 0.009
# Three products of halves, at the share of float16's rate that 1.2 ms for 1,000,000 x 256 and 6.6
# for 500,000 x 1024 are; tiles of 128 on the diagonal are whole.
_SPLIT_PRODUCTS = 3.0
_SPLIT_SHARE = 0.32


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in _DEFAULTS:
        return f"there is no implementation {impl!r}"
    if impl != "triton":
        return None
    if problem.options.get("solver") == "randomized":
        return "its kernel makes Gram matrices, which the randomized solver does not form"
    if problem.dtype == "float64":
        return "its kernel splits numbers into two halves, which hold 22 bits and not 53"
    if problem.options.get("interpreter"):
        return None
    if problem.device_kind != "cuda":
        return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
    if problem.hip or problem.arch not in _ROOMY:
        return "its tiles need the shared memory of sm_80, sm_90 or sm_100"
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    defaults = _DEFAULTS[impl]
    if impl == "torch" and problem.device_kind != "cpu":
        defaults = _DEVICE_TILE
    return {**defaults, **(tuning.known_config(OPERATOR, impl, problem) or {})}


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    return tuning.kernel_or_torch(
        OPERATOR,
        problem,
        unsupported_reason,
        default_config,
        kernel="halves of x are multiplied on tensor cores, in float64 where digits lack",
        torch="tiles in float64 stay in cache, and a BLAS multiplies them",
    )


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs, of one solver or the other."""
    N, D = problem.axes["N"], problem.axes["D"]
    smaller = min(N, D)
    on_device = problem.device_kind != "cpu"
    if impl == "reference":
        width = max(4, ITEMSIZE[problem.dtype])
        room = device_room.svd_bytes(N, D, width) if on_device else 0
        # The working dtype, the centred copy, what LAPACK overwrites, left and right vectors.
        return 5 * width * N * D + 4 * width * smaller * (smaller + D) + room
    solver = str(problem.options.get("solver", "auto"))
    needed = plan.workspace_bytes(
        problem.axes, config["tile_elements"], on_device=on_device, solver=solver
    )
    if impl == "triton":
        parts = plan.gram_parts(smaller, config["BLOCK_S"], config["programs"])
        needed += 8 * parts * smaller * (smaller + 1)
    return needed


def expected_bytes(impl: str, problem: Problem, config: Config, backward: bool) -> int:
    """What one call takes: on a GPU, the Gram matrix and its parts, unless these need mending.

    The parts are gone when the matrix, a copy of it and its eigenvectors need room.
    """
    if impl != "triton":
        return workspace_bytes(impl, problem, config)
    smaller = min(problem.axes["N"], problem.axes["D"])
    parts = plan.gram_parts(smaller, config["BLOCK_S"], config["programs"])
    eigen_bytes = 8 * 3 * smaller * smaller + device_room.eigen_bytes(smaller)
    return max(8 * smaller * (parts * (smaller + 1) + smaller), eigen_bytes)


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool
) -> float:
    """Latency from the device's ceilings: float64 products or bytes, then the eigenvectors."""
    cost = estimate_cost(**problem.axes, dtype=problem.dtype, backward=backward)
    N, D = problem.axes["N"], problem.axes["D"]
    smaller = min(N, D)
    eigen_ms = _EIGEN_FLOPS * smaller**3 / device.tflops_for("float64") * 1e-9
    if problem.device_kind == "cuda":
        eigen_ms += _EIGEN_COLUMN_MS * smaller
    if impl == "reference":
        # A full decomposition: two-sided reflections, most of them bound by bandwidth.
        passes_ms = 8 * smaller * cost.bytes / 64 / device.bandwidth_gbps * 1e-6
        return passes_ms + cost.compute_ms(device, "float64") + eigen_ms
    if impl == "triton":
        products = _SPLIT_PRODUCTS * N * D * (smaller + config["BLOCK_S"])
        products_ms = products / (_SPLIT_SHARE * device.tflops_for("float16")) * 1e-9
        return max(cost.bytes / device.bandwidth_gbps * 1e-6, products_ms) + eigen_ms
    # The torch implementation writes each tile in float64 and reads it back.
    memory_ms = (cost.bytes + 24 * N * D) / device.bandwidth_gbps * 1e-6
    return max(memory_ms, cost.compute_ms(device, "float64")) + eigen_ms
