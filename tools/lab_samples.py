"""What the made-up laboratory of `fill_lab` is made of: problems, ideas, programs, sentences."""

import random
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A problem; a workload is (name, baseline's ms, floor in ms or None, peak bytes)."""

    name: str
    kind: str
    brief: str
    spec: Mapping[str, object]
    workloads: tuple[tuple[str, float, float | None, int], ...]
    proposer: str = "agent:scripted"
    objective: str = "latency_ms"
    device: str = "cuda:0"
    weight: float = 1.0
    refused: str = ""


@dataclass(frozen=True)
class Idea:
    """A hypothesis and what its experiments will show: (purpose, gain, end) each."""

    title: str
    bench: int
    results: tuple[tuple[str, float, str], ...] = ()
    rationale: str = "Each row is read **twice** now; once is enough."
    metric: str = "latency_ms"
    direction: str = "decrease"
    least_effect: float = 0.05
    workloads: tuple[str, ...] = ()
    prior: float = 0.5
    spread: float = 0.01
    child: bool = False
    invalid: bool = False


def _case(
    name: str, dtype: str, sizes: Mapping[str, int], flops: int, read: int, written: int
) -> dict[str, object]:
    cost = {"flops": flops, "bytes_read": read, "bytes_written": written}
    return {
        "name": name,
        "arguments": sizes,
        "timed": True,
        "hidden": False,
        "dtype": dtype,
        "cost": cost,
    }


PROBLEMS = (
    Task(
        "linear_cross_entropy/gpt2",
        "operator",
        "# Linear cross entropy\n\n`loss = cross_entropy(x @ w.T, target)`, without the logits.\n",
        {
            "location": "linear_cross_entropy",
            "options": {"workload": "gpt2"},
            "entry": {"function": "run", "convention": "destination"},
            "cases": [
                _case(
                    "gpt2",
                    "bfloat16",
                    {"N": 8192, "D": 768, "V": 50257},
                    632_429_150_208,
                    89_780_220,
                    4,
                )
            ],
        },
        (("gpt2", 4.0, 0.803, 2_400_000_000),),
        weight=3.0,
    ),
    Task(
        "row_softmax",
        "folder",
        "# Row softmax\n\nEach row of `x` becomes its softmax.\n",
        {
            "location": "examples/problems/row_softmax",
            "options": {},
            "entry": {"function": "custom_kernel", "convention": "data"},
            "cases": [
                _case(
                    "4096x4096",
                    "float32",
                    {"rows": 4096, "columns": 4096},
                    83_886_080,
                    67_108_864,
                    67_108_864,
                ),
                _case(
                    "512x32768",
                    "float32",
                    {"rows": 512, "columns": 32768},
                    83_886_080,
                    67_108_864,
                    67_108_864,
                ),
            ],
        },
        (
            ("4096x4096", 0.11, 0.0312, 134_217_728),
            ("512x32768", 0.14, 0.0312, 134_217_728),
        ),
        proposer="TPE",
    ),
    Task(
        "decoding/tiny",
        "run",
        "# Decoding\n\nTokens per second of a small model, its loss at most 3.2.\n",
        {
            "location": "examples/problems/decoding",
            "options": {},
            "objective": "tokens_per_s",
            "direction": "maximize",
        },
        (("", 900.0, None, 310_000_000),),
        proposer="grid",
        objective="tokens_per_s",
        device="cpu",
    ),
    Task(
        "mla_decode/loose",
        "folder",
        "# Latent attention\n",
        {"location": "problems/mla_decode", "options": {}},
        (),
        refused="it accepts an output of zeros: 0.004 is within its tolerance of 0.06",
    ),
)

PEERS = {"eager": 2.3, "compiled": 1.2}

CONFIGS = {
    "triton": {"BLOCK": (64, 128, 256), "num_warps": (2, 4, 8), "num_stages": (1, 2, 3)},
    "torch": {"chunk_rows": (256, 1024, 4096)},
}

HYPOTHESES = (
    Idea("Writing the loss once saves a pass", 0),
    Idea("A persistent grid hides the tail", 0, prior=0.3),
    Idea("Split K fills the device", 0, (("search", 0.12, "done"), ("confirm", 0.11, "done"))),
    Idea("Split K in four is better still", 0, (("search", 0.01, "done"),), child=True),
    Idea("Eight warps hide the loads", 1, (("search", 0.09, "done"),)),
    Idea("Two stages are enough", 1, (("search", 0.05, "done"),), spread=0.03),
    Idea("Exponents in half precision", 0, (("search", 0, "incorrect"), ("search", 0, "crashed"))),
    Idea(
        "Rows that fit stay in registers",
        1,
        (("search", 0.08, "done"), ("search", 0, "queued")),
        workloads=("4096x4096",),
    ),
    Idea("The second read comes from the cache", 1, (("search", -0.02, "done"),), invalid=True),
    Idea(
        "A static cache raises the rate",
        2,
        (("search", 0.2, "done"), ("confirm", 0.19, "done")),
        metric="tokens_per_s",
        direction="increase",
    ),
    Idea("Tiles of 256 hide the tail", 0, prior=0.2),
    Idea("Chunks halve the memory", 0, (("search", 0.0, "done"),), metric="peak_bytes"),
)

LEARNINGS = (
    (
        "Split K pays below 4,096 rows.",
        {"operator": "linear_cross_entropy"},
        0.6,
        (("hypothesis", 3), ("experiment", 1)),
    ),
    ("The cache holds 96 MB.", {"device": "h200"}, 0.4, (("experiment", 5),)),
    ("`num_warps=8` spills above BLOCK 128.", {"problem": "row_softmax"}, 0.9, (("problem", 2),)),
    (
        "A row is read once when its maximum is carried along.\n\nSee *online softmax*.",
        {},
        0.95,
        (("hypothesis", 5), ("experiment", 4)),
    ),
)

REASONS = {
    "incorrect": (
        "output: 4,096 of 8,192 values beyond the budget, worst at [17, 3]",
        "output: not a number at [0, 0]",
    ),
    "compile_error": ("shapes [64, 128] and [128, 32] do not match in tl.dot",),
    "crashed": ("signal 11 (segmentation fault)", "illegal memory access"),
    "timeout": ("no answer within 300 s",),
    "out_of_memory": ("wanted 61.2 GiB, 40.1 GiB were free",),
    "hacked": ("it returned the output of the call before", "it slept while the clock ran"),
    "infra_lost": ("its process was killed",),
    "pruned": ("its workspace of 96 GiB is more than is free",),
    "cancelled": ("by a person",),
    "dead": ("5 attempts were lost: it may take the machine down",),
}

_CHANGES = (
    "keep the maximum in a register",
    "load the next tile before the product",
    "let two blocks share a row",
    "write the loss by atomics",
    "skip tiles that the target is not in",
    "swizzle the grid for the cache",
)


def whys(step: int) -> tuple[str, ...]:
    """Reasons to try what comes at this step."""
    return (
        f"neighbour of the best so far: {_CHANGES[step % len(_CHANGES)]}",
        f"TPE: where {step} results make a good one most likely",
        f"{_CHANGES[(step + 2) % len(_CHANGES)]}, since memory is the bound",
    )


def program(step: int, dice: random.Random) -> str:
    """A source that differs from the step before in a line or two."""
    block = dice.choice((64, 128, 256))
    lines = [
        "import torch",
        "",
        f"BLOCK = {block}",
        "",
        "",
        "def run(inputs, outputs):",
        '    """Write the mean loss of all rows."""',
        '    x, weight, target = inputs["x"], inputs["weight"], inputs["target"]',
        "    total = 0.0",
        "    for start in range(0, len(x), BLOCK):",
    ]
    for place in range(min(step, 12)):
        change = _CHANGES[place % len(_CHANGES)]
        lines.append(f"        # {place + 1}. {change}")
    lines += [
        "        logits = x[start : start + BLOCK] @ weight.T",
        f"        total += loss_of(logits, target, start, step={step})",
        '    outputs["loss"].copy_(total / len(x))',
        "",
        "",
        "def loss_of(logits, target, start, step):",
        "    rows = target[start : start + len(logits)]",
        '    return torch.nn.functional.cross_entropy(logits, rows, reduction="sum")',
    ]
    return "\n".join(lines) + "\n"
