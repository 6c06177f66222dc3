"""Which implementation may run a problem, which is fastest, and what it takes."""

from collections.abc import Mapping

from onetrip.core import tuning
from onetrip.core.cost import ITEMSIZE
from onetrip.core.device import Device
from onetrip.core.selection import Choice, Config, Problem
from onetrip.ops.linear_cross_entropy.plan import (
    MAX_COLUMNS,
    ROW_VECTORS,
    Plan,
    make_plan,
    rows_per_block,
)

OPERATOR = "linear_cross_entropy"
DEFAULT_BUDGET = 256 * 2**20
# A kept exponential must stay finite: twice the soft cap plus the logarithm of any vocabulary.
MAX_KEPT_SOFTCAP = 30.0
_HALF = ("float16", "bfloat16")

# impl -> device kind and dtype class -> configuration; evidence in results/ or the ladder named.
_DEFAULTS: Mapping[tuple[str, str], Config] = {
    ("gluon", "half"): {"GROUP": 4, "CHUNK": 8},
    ("triton", "half"): {
        "BLOCK_N": 128, "BLOCK_V": 128, "BLOCK_D": 64, "GROUP": 8, "CHUNK": 8,
        "num_warps": 8, "num_stages": 3,
    },
    # Two stages: a compute unit has 64 KiB of shared memory.
    ("triton", "hip"): {
        "BLOCK_N": 128, "BLOCK_V": 128, "BLOCK_D": 64, "GROUP": 8, "CHUNK": 8,
        "num_warps": 8, "num_stages": 2,
    },
    ("triton", "float32"): {
        "BLOCK_N": 64, "BLOCK_V": 64, "BLOCK_D": 32, "GROUP": 8, "CHUNK": 16,
        "num_warps": 4, "num_stages": 3,
    },
    ("triton", "interpreter"): {
        "BLOCK_N": 32, "BLOCK_V": 64, "BLOCK_D": 64, "GROUP": 2, "CHUNK": 2,
        "num_warps": 4, "num_stages": 1,
    },
}  # fmt: skip

# Share of the device's ceiling that each implementation's products reach (results/).
# Columns of a tile, `COLS` of `kernel_gluon.py`.
_GLUON_COLUMNS = 256
_EFFICIENCY = {"gluon": 0.90, "triton": 0.72, "torch": 0.80, "reference": 0.80}


def budget_of(problem: Problem) -> int:
    """The problem's memory budget in bytes."""
    budget = problem.options.get("memory_budget")
    return DEFAULT_BUDGET if budget is None else int(budget)  # type: ignore[call-overload]


def _option(problem: Problem, name: str, default: object) -> object:
    value = problem.options.get(name)
    return default if value is None else value


def is_plain(problem: Problem) -> bool:
    """Whether only the log-probability is differentiated, with no cap on the logits."""
    aux = _option(problem, "aux", ())
    return (
        problem.options.get("softcap") is None
        and not _option(problem, "label_smoothing", 0.0)
        and not _option(problem, "z_loss", 0.0)
        and not {"entropy", "lse"}.intersection(aux)  # type: ignore[arg-type]
    )


def by_rows(impl: str, problem: Problem) -> bool:
    """Whether the torch implementation walks rows, with gradients in the forward pass."""
    return (
        impl == "torch"
        and problem.dtype == "float32"
        and is_plain(problem)
        and _option(problem, "reduction", "mean") != "none"
        and not _option(problem, "aux", ())
        and not problem.options.get("group")
    )


def unsupported_reason(impl: str, problem: Problem, config: Config | None = None) -> str | None:
    """Say why `impl` cannot run `problem` with `config`, or None when it can."""
    on_gpu = problem.device_kind == "cuda"
    if impl in ("reference", "torch"):
        return None
    if impl == "triton":
        if not on_gpu and not problem.options.get("interpreter"):
            return "Triton kernels need a GPU (or TRITON_INTERPRET=1, which only tests want)"
        if not on_gpu and problem.dtype == "bfloat16":
            return "Triton's interpreter computes wrong bfloat16 products"
    elif impl == "gluon":
        if not on_gpu or problem.hip or not 90 <= problem.arch < 100:
            return "the Gluon kernels use instructions that only Hopper (sm_90) has"
        if problem.dtype not in _HALF:
            return f"the Gluon kernels multiply float16 and bfloat16, not {problem.dtype}"
        if problem.axes["D"] % 8:
            return f"the copy engine needs rows of whole 16 bytes; D = {problem.axes['D']} is not"
        if problem.options.get("unaligned"):
            return "the copy engine needs rows that start on 16 bytes; a tensor here does not"
    else:
        return f"there is no implementation {impl!r}"
    if config is not None:
        budget = budget_of(problem)
        if workspace_bytes(impl, problem, config) > budget:
            return f"its workspace exceeds the memory budget of {budget} bytes"
        if on_gpu and impl == "triton" and _shared_bytes(problem, config) > _SHARED_LIMIT:
            return "its tiles exceed the shared memory of a multiprocessor"
    return None


_SHARED_LIMIT = 227 * 1024


def _shared_bytes(problem: Problem, config: Config) -> int:
    stage = (config["BLOCK_N"] + config["BLOCK_V"]) * config["BLOCK_D"]
    return stage * ITEMSIZE[problem.dtype] * config["num_stages"]


def default_config(impl: str, problem: Problem) -> Config:
    """What a named implementation runs: an override, the tuning table, or the default."""
    overridden = tuning.overridden(OPERATOR, impl)
    if overridden is not None:
        return overridden
    tuned = tuning.nearest(OPERATOR, problem, impl)
    if tuned is not None and unsupported_reason(impl, problem, tuned.config) is None:
        return tuned.config
    return _default(impl, problem)


def _default(impl: str, problem: Problem) -> Config:
    if impl == "torch":
        if problem.device_kind == "cpu":
            return {"rows": 256, "columns": 4096}
        return {"rows": 2048, "columns": 8192}
    if impl == "reference":
        return {}
    kind = "half" if problem.dtype in _HALF else "float32"
    if problem.hip:
        kind = "hip" if kind == "half" else kind
    if problem.device_kind == "cpu":
        kind = "interpreter"
    return {**_DEFAULTS[impl, kind], "columns": MAX_COLUMNS}


def search_space(impl: str, problem: Problem) -> Mapping[str, tuple[int, ...]]:
    """Values that `onetrip tune` tries for each entry of the configuration."""
    if impl == "torch":
        if by_rows(impl, problem):
            return {"rows": (32, 64, 128, 192, 256, 384, 512, 1024), "columns": (4096,)}
        return {"rows": (256,), "columns": (512, 1024, 2048, 4096, 8192, 16384)}
    if impl == "gluon":
        return {
            "GROUP": (1, 2, 4, 8, 16),
            "CHUNK": (4, 8, 16, 32, 64),
            "columns": (2048, 4096, 8192, 16384),
        }
    if impl == "triton":
        return {
            "BLOCK_N": (64, 128),
            "BLOCK_V": (64, 128, 256),
            "BLOCK_D": (32, 64),
            "GROUP": (1, 4, 8, 16),
            "CHUNK": (4, 8, 16, 32),
            "num_warps": (4, 8),
            "num_stages": (2, 3, 4),
            "columns": (2048, 4096, 8192, 16384),
        }
    return {}


def choose(problem: Problem) -> Choice:
    """What ``impl="auto"`` runs, and why."""
    known = tuning.known_choice(OPERATOR, problem, unsupported_reason, default_config)
    if known is not None:
        return known
    if unsupported_reason("gluon", problem) is None:
        why = "the Hopper kernels are the fastest on sm_90 in half precision"
        return Choice("gluon", default_config("gluon", problem), why, "results: bench h100")
    if problem.device_kind == "cuda" and problem.dtype in _HALF:
        why = "the Triton kernels keep the logits on chip on any GPU"
        return Choice("triton", default_config("triton", problem), why)
    if problem.device_kind == "cuda":
        why = f"{problem.dtype} products are fastest in the vendor's library"
    else:
        why = "a CPU runs the chunked torch implementation"
    return Choice("torch", default_config("torch", problem), why)


def stores_exponentials(problem: Problem) -> bool:
    """Whether kept columns hold exponentials; float16 has no room for them and holds logits."""
    return problem.dtype != "float16"


def can_keep(impl: str, problem: Problem) -> bool:
    """Whether the forward pass can keep columns for the backward pass."""
    softcap = problem.options.get("softcap")
    fits = softcap is None or not stores_exponentials(problem) or softcap <= MAX_KEPT_SOFTCAP  # type: ignore[operator]
    return impl in ("triton", "gluon") and fits


def _multiplies_in_float32(impl: str, problem: Problem) -> bool:
    """Whether products need float32 copies of their operands: half precision on a CPU."""
    return impl == "torch" and problem.dtype in _HALF and problem.device_kind == "cpu"


def _copies_bytes(impl: str, problem: Problem) -> int:
    """Bytes of the float32 copy of the input, where products need one."""
    copied = _multiplies_in_float32(impl, problem)
    return 4 * problem.axes["N"] * problem.axes["D"] if copied else 0


def _torch_scratch_bytes(problem: Problem) -> int:
    """Bytes that one logit of a tile takes in `torch_impl.py`, at the worst moment of a pass."""
    N, D = problem.axes["N"], problem.axes["D"]
    entropy = 4 * ("entropy" in _option(problem, "aux", ()))  # type: ignore[operator]
    smooth = 4 * bool(_option(problem, "label_smoothing", 0.0))
    slope = 4 * (problem.options.get("softcap") is not None)
    tile = ITEMSIZE[problem.dtype] if problem.dtype in _HALF else 0  # else the logits' own
    # Forward: logits, then what is formed beside them, a byte or two for argmax at least.
    scratch = max(4 + max(entropy, smooth, 2), tile + 4 + slope + entropy)
    if _multiplies_in_float32("torch", problem):
        scratch += -(-4 * D // max(N, 1))  # the tile's rows of the head, or of its gradient
    return scratch


def plan_for(
    impl: str,
    problem: Problem,
    config: Config,
    *,
    grad_input: bool = True,
    grad_weight: bool = True,
    keep: bool = True,
) -> Plan:
    """Divide the problem's memory budget into tiles."""
    axes, budget = problem.axes, budget_of(problem) - _copies_bytes(impl, problem)
    scratch = ITEMSIZE[problem.dtype]
    if impl == "torch":
        scratch = _torch_scratch_bytes(problem)
    return make_plan(
        N=axes["N"],
        D=axes["D"],
        V=axes["V"],
        dtype=problem.dtype,
        budget=budget,
        grad_input=grad_input,
        grad_weight=grad_weight,
        relative=is_plain(problem) and stores_exponentials(problem),
        can_keep=keep and can_keep(impl, problem),
        scratch_bytes=scratch,
        max_columns=config.get("columns", MAX_COLUMNS),
        stores_exponentials=stores_exponentials(problem),
    )


def workspace_bytes(impl: str, problem: Problem, config: Config) -> int:
    """Bytes beyond inputs, outputs and gradients of one forward and backward pass."""
    N, D, V = (problem.axes[letter] for letter in "NDV")
    if impl == "reference":
        # Logits and their gradient in the working dtype, and float32 for every formula's step.
        return N * V * (2 * ITEMSIZE[problem.dtype] + (12 if is_plain(problem) else 40))
    if by_rows(impl, problem):
        rows = min(N, config["rows"], rows_per_block(N, D, V, budget_of(problem)))
        return 4 * rows * (V + 2 * D) + 4 * ROW_VECTORS * N
    return plan_for(impl, problem, config).workspace_bytes + _copies_bytes(impl, problem)


def expected_bytes(impl: str, problem: Problem, config: Config, backward: bool) -> int:
    """What one call takes: of a forward pass alone, no more than the statistics of tiles."""
    if backward or impl != "gluon":
        return workspace_bytes(impl, problem, config)
    N, V = problem.axes["N"], problem.axes["V"]
    groups = -(-V // (_GLUON_COLUMNS * config["GROUP"]))
    return N * (8 * groups + 20)


def predict_ms(
    impl: str, problem: Problem, device: Device, config: Config, backward: bool = True
) -> float:
    """Latency from the device's ceilings: products over the rate, passes over the bandwidth."""
    N, D, V = (problem.axes[letter] for letter in "NDV")
    matmul_ms = 2 * N * D * V / device.tflops_for(problem.dtype) * 1e-9 / _EFFICIENCY[impl]
    if impl == "reference":
        passes = (14 if backward else 6) * N * V * 4
        return matmul_ms * (3 if backward else 1) + passes / device.bandwidth_gbps * 1e-6
    if not backward:
        return matmul_ms
    if by_rows(impl, problem):
        blocks = -(-N // max(min(config["rows"], rows_per_block(N, D, V, budget_of(problem))), 1))
        traffic = 8 * V * D * blocks + 24 * N * V
        return 3 * matmul_ms + traffic / device.bandwidth_gbps * 1e-6
    plan = plan_for(impl, problem, config)
    sweeps = 2 if plan.rows < N else 1
    products = 3 + sweeps + (plan.borrowed - min(plan.kept, V)) / max(V, 1)
    tiles = -(-(V - min(plan.kept, V)) // plan.columns)
    traffic = 8 * N * D * tiles + (0 if plan.relative else 4 * N * plan.kept)
    return products * matmul_ms + traffic / device.bandwidth_gbps * 1e-6
