"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem
from onetrip.ops.tsne import plan

OPERATOR = "tsne"

_DEFAULTS: Mapping[str, Config] = {
    "reference": {},
    # Of 256, 512 and 1024, the fastest on two cores of a Xeon: 15.4 ms an iteration of 1,797
    # samples where 256 took 24.9 and 1024 23.7.
    "torch": {"tile": 512},
    # On an H100, 20,000 samples: 0.20 ms a push; blocks of 16 take 0.24, two warps 0.29.
    "triton": {"BLOCK_I": 32, "BLOCK_J": 32, "num_warps": 1, "splits": 8},
}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"tile": (256, 512, 1024)},
    "triton": {"BLOCK_I": (16, 32), "splits": (4, 16)},
}
# Operations of a pair in an iteration, forces on one of its samples: distance, division, weights.
_PAIR_FLOPS = 24.0
# What a recomputed affinity costs beyond its distance: two exponentials.
_AFFINITY_FLOPS = 40.0
# Calls of torch in an iteration; a device gets them for every tile of pairs, each pair once.
_LAUNCH_MS = 0.06
# Time of the kernels on an H100, in issue slots at the rate of multiply-adds: of a pair in the
# push, of an entry in the pull, of a pair that is pulled by its distance; of a pair in the search
# of widths, in a pass that counts, in one that fills lists; of a distance beside its 2 D
# operations. The push issues 10.6 instructions a pair; a gather waits for the cache, and tiles for
# memory: 2 bytes a pair.
_PUSH, _PULL, _PULL_ALL, _SEARCH, _COUNT, _FILL = 12.0, 120.0, 125.0, 410.0, 110.0, 190.0
_PULL_TILES = 30.0
_DISTANCE, _DISTANCE_SHARE = 36.0, 0.66
_STEP_MS = 0.02
# What the host takes for the launches of an iteration: of few samples, the device waits for it.
_LAUNCHES_MS = 0.105


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in _DEFAULTS:
        return f"there is no implementation {impl!r}"
    perplexity, N = _number(problem, "perplexity", 30.0), problem.axes["N"]
    if perplexity >= N:
        return f"perplexity ({perplexity:g}) must be less than n_samples ({N})"
    if impl != "triton":
        return None
    if _number(problem, "n_components", 2) > 3:
        return "its kernel embeds in one, two or three dimensions"
    if problem.dtype == "float64":
        return "its kernel computes in float32"
    if problem.device_kind != "cuda" and not problem.options.get("interpreter"):
        return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    return {**_DEFAULTS[impl], **(tuning.known_config(OPERATOR, impl, problem) or {})}


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
        kernel="every pair pushes, listed neighbours pull",
        torch="each pair once, in tiles that stay in cache",
    )


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs."""
    N, D = problem.axes["N"], problem.axes["D"]
    components = int(_number(problem, "n_components", 2))
    itemsize = plan.result_itemsize(problem.dtype)
    if impl == "reference":
        return itemsize * N * N * (10 + 3 * components + D)
    if impl == "torch":
        kept = _keeps(problem, config["tile"])
        return plan.workspace_bytes(problem.axes, problem.dtype, config["tile"], components, kept)
    kept = plan.kept_workspace_bytes(N, components, _entries(problem), _budget(problem))
    return plan.device_workspace_bytes(problem.axes, components, config["splits"], kept)


def expected_bytes(impl: str, problem: Problem, config: Config, backward: bool) -> int:
    """Bytes of a usual call: copies that the start makes are gone when lists are filled."""
    most = workspace_bytes(impl, problem, config)
    if impl != "triton":
        return most
    copies = plan.start_bytes(problem.axes)
    return max(copies, most - copies)


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool
) -> float:
    """Latency from the device's ceilings: arithmetic of float32, or the kept affinities' bytes."""
    if impl == "triton":
        return _predict_triton_ms(problem, device)
    N, D = problem.axes["N"], problem.axes["D"]
    rate = device.tflops_for("float32") * 1e9  # operations a millisecond
    pairs = N * N
    distances_ms = pairs * (2 * D + _AFFINITY_FLOPS) / rate
    forces_ms = pairs * _PAIR_FLOPS / rate
    if impl == "reference":
        # Some thirty matrices written or read in an iteration.
        forces_ms += 30 * pairs * ITEMSIZE[problem.dtype] / device.bandwidth_gbps * 1e-6
    elif _keeps(problem, config["tile"]):
        forces_ms = max(forces_ms, 4 * pairs / device.bandwidth_gbps * 1e-6)
    else:
        forces_ms += distances_ms
    launches_ms = _LAUNCH_MS
    if impl == "torch" and device.kind != "cpu":
        launches_ms = max(launches_ms * (-(-N // config["tile"])) ** 2 / 2, _LAUNCHES_MS)
    return distances_ms + _number(problem, "max_iter", 1000) * (forces_ms + launches_ms)


def _predict_triton_ms(problem: Problem, device: Device) -> float:
    """Issue slots over the rate at which the chip issues multiply-adds."""
    N, D = problem.axes["N"], problem.axes["D"]
    rate = device.tflops_for("float32") * 1e9 / 2  # a millisecond
    pairs = N * N
    entries = _entries(problem)
    distances = (2 * D + _DISTANCE) / _DISTANCE_SHARE * pairs
    kept = plan.kept(N, entries, _budget(problem), device.memory_bytes)
    if kept is not None:
        before = 3 * distances + (_SEARCH + _COUNT + _FILL) * pairs
        iteration = _PUSH * pairs + (_PULL * entries if kept == "lists" else _PULL_TILES * pairs)
    else:
        before = 2 * distances + (_SEARCH + _COUNT) * pairs
        iteration = (_PUSH + _PULL_ALL) * pairs + distances
    iterations = _number(problem, "max_iter", 1000)
    return before / rate + iterations * max(iteration / rate + _STEP_MS, _LAUNCHES_MS)


def _entries(problem: Problem) -> int:
    """Pairs that count: as the option "counted_share" of an estimate says, or one in twenty."""
    return plan.expected_entries(problem.axes["N"], _number(problem, "counted_share", 0.05))


def _keeps(problem: Problem, tile: int) -> bool:
    itemsize = plan.result_itemsize(problem.dtype)
    return plan.keeps_affinities(
        problem.axes["N"], tile, itemsize, _budget(problem), problem.device_kind
    )


def _budget(problem: Problem) -> int | None:
    budget = problem.options.get("memory_budget")
    return budget if isinstance(budget, int) else None


def _number(problem: Problem, option: str, default: float) -> float:
    value = problem.options.get(option)
    return value if isinstance(value, int | float) else default
