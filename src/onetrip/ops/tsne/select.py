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
    # Not measured: 8 pairs of a tile to a thread; with 16 the compiler spills registers.
    "triton": {"BLOCK": 32, "num_warps": 4},
}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"tile": (256, 512, 1024)},
    "triton": {"BLOCK": (32,), "num_warps": (4, 8)},
}
# Operations of a pair in an iteration, forces on one of its samples: distance, division, weights.
_PAIR_FLOPS = 24.0
# What a recomputed affinity costs beyond its distance: two exponentials.
_AFFINITY_FLOPS = 40.0
# Passes over all pairs to find the widths.
_SEARCH_STEPS = 12
_LAUNCH_MS = 0.06


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
    tuned = tuning.nearest(OPERATOR, problem)
    if tuned is not None and unsupported_reason(tuned.impl, problem) is None:
        why = f"tuned on this device for the nearest recorded problem {dict(tuned.axes)}"
        return Choice(tuned.impl, default_config(tuned.impl, problem), why, tuned.evidence)
    if problem.device_kind == "cuda" and unsupported_reason("triton", problem) is None:
        why = "one kernel from distances to forces; floor only, not measured on this device"
        return Choice("triton", default_config("triton", problem), why)
    why = "each pair once, in tiles that stay in cache"
    if problem.device_kind == "cuda":
        why += "; floor only, not measured on this device"
    return Choice("torch", default_config("torch", problem), why)


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs and outputs."""
    N, D = problem.axes["N"], problem.axes["D"]
    components = int(_number(problem, "n_components", 2))
    itemsize = plan.result_itemsize(problem.dtype)
    if impl == "reference":
        return itemsize * N * N * (10 + 3 * components + D)
    kept = _keeps(impl, problem, config)
    if impl == "torch":
        return plan.workspace_bytes(problem.axes, problem.dtype, config["tile"], components, kept)
    block = config["BLOCK"]
    padded = -(-N // block) * block
    affinities = plan.kept_bytes(padded, block, 4) if kept else 0
    return affinities + 8 * N * (4 * D + 48 + 12 * components)


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool
) -> float:
    """Latency from the device's ceilings: arithmetic of float32, or the kept affinities' bytes."""
    N, D = problem.axes["N"], problem.axes["D"]
    rate = device.tflops_for("float32") * 1e9  # operations a millisecond
    pairs = N * N
    distances_ms = pairs * (2 * D + _AFFINITY_FLOPS) / rate
    search_ms = distances_ms * (_SEARCH_STEPS if impl == "triton" else 1)
    forces_ms = pairs * _PAIR_FLOPS / rate
    if impl == "reference":
        # Some thirty matrices written or read in an iteration.
        forces_ms += 30 * pairs * ITEMSIZE[problem.dtype] / device.bandwidth_gbps * 1e-6
    elif _keeps(impl, problem, config):
        forces_ms = max(forces_ms, 4 * pairs / device.bandwidth_gbps * 1e-6)
    else:
        forces_ms += distances_ms
    return search_ms + _number(problem, "max_iter", 1000) * (forces_ms + _LAUNCH_MS)


def _keeps(impl: str, problem: Problem, config: Config) -> bool:
    budget = problem.options.get("memory_budget")
    return plan.keeps_affinities(
        problem.axes["N"],
        config["tile"] if impl == "torch" else config["BLOCK"],
        plan.result_itemsize(problem.dtype) if impl == "torch" else 4,
        budget if isinstance(budget, int) else None,
        problem.device_kind,
    )


def _number(problem: Problem, option: str, default: float) -> float:
    value = problem.options.get(option)
    return value if isinstance(value, int | float) else default
