"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem
from onetrip.ops.scaled_relu.cost import estimate_cost

OPERATOR = "scaled_relu"

# Not measured yet: a guess to start from, which `onetrip tune scaled_relu` replaces.
_DEFAULTS: Mapping[str, Config] = {
    "reference": {},
    "torch": {"rows": 256},
    "triton": {"BLOCK_N": 4, "BLOCK_D": 256, "num_warps": 4},
}
_SPACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "reference": {},
    "torch": {"rows": (64, 256, 1024)},
    "triton": {"BLOCK_N": (1, 4, 16), "BLOCK_D": (128, 256, 512), "num_warps": (4, 8)},
}


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    if impl not in _DEFAULTS:
        return f"there is no implementation {impl!r}"
    if (
        impl == "triton"
        and problem.device_kind != "cuda"
        and not problem.options.get("interpreter")
    ):
        return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
    return None


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    known = tuning.known_config(OPERATOR, impl, problem)
    return _DEFAULTS[impl] if known is None else known


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    return _SPACE[impl]


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    known = tuning.known_choice(OPERATOR, problem, unsupported_reason, default_config)
    if known is not None:
        return known
    if problem.device_kind == "cuda":
        why = "one kernel reads x once"
        return Choice("triton", default_config("triton", problem), why)
    why = "a block of rows stays in a CPU's cache between the two steps"
    return Choice("torch", default_config("torch", problem), why)


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs, outputs and gradients of one forward and backward pass."""
    N, D = problem.axes["N"], problem.axes["D"]
    itemsize = ITEMSIZE[problem.dtype]
    if impl == "reference":
        return 2 * N * D * itemsize  # the product, and its gradient
    if impl == "torch":
        return min(config["rows"], N) * D * (itemsize + 1)  # a block of it, and which pass
    return 0


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency from the device's bandwidth: compulsory bytes, and what goes there and back."""
    cost = estimate_cost(**problem.axes, dtype=problem.dtype, backward=backward)
    extra = workspace_bytes(impl, problem, config) if impl == "reference" else 0
    return (cost.bytes + 2 * extra) / device.bandwidth_gbps * 1e-6
