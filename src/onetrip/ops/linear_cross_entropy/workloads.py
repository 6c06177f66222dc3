"""Problems on which linear cross entropy is tested and measured."""

from onetrip.core.workload import Workload

_SMOKE = frozenset({"smoke", "cpu"})
_CPU = frozenset({"cpu"})
_BENCH = frozenset({"bench"})

WORKLOADS = (
    Workload(
        "ragged",
        {"N": 67, "D": 40, "V": 143},
        "float32",
        _SMOKE,
        why="one full and one ragged tile on every axis of the smallest tiles",
    ),
    Workload(
        "prime",
        {"N": 37, "D": 61, "V": 307},
        "float32",
        _CPU,
        why="no axis is a multiple of anything; rows are not 16-byte aligned",
        optional_inputs=("linear_bias",),
    ),
    Workload(
        "one-token",
        {"N": 1, "D": 16, "V": 33},
        "float32",
        _SMOKE,
        why="a single row",
    ),
    Workload(
        "half",
        {"N": 48, "D": 64, "V": 260},
        "float16",
        _CPU,
        why="float16 has no room for large exponentials",
    ),
    Workload(
        "gemma-like",
        {"N": 50, "D": 48, "V": 270},
        "float32",
        _SMOKE,
        why="soft-capped logits (Gemma 2) on peaked data",
        options={"softcap": 30.0},
        data="peaked",
    ),
    Workload(
        "granite-like",
        {"N": 40, "D": 32, "V": 150},
        "float32",
        _CPU,
        why="scaled logits (Granite, Cohere) with z-loss",
        options={"logit_scale": 0.125, "z_loss": 1e-2},
    ),
    Workload(
        "everything",
        {"N": 45, "D": 32, "V": 145},
        "float32",
        _SMOKE,
        why="every option and every optional tensor at once",
        options={
            "softcap": 5.0,
            "logit_scale": 1.5,
            "label_smoothing": 0.1,
            "z_loss": 1e-2,
            "aux": ("logprob", "lse", "entropy", "argmax"),
        },
        optional_inputs=("linear_bias", "weight", "token_weight"),
    ),
    Workload(
        "rl",
        {"N": 64, "D": 32, "V": 129},
        "float32",
        _CPU,
        why="what preference and RL trainers ask for: per-token loss, log-probability, entropy",
        options={"reduction": "none", "aux": ("logprob", "entropy")},
        data="peaked",
    ),
    Workload(
        "offset",
        {"N": 33, "D": 24, "V": 90},
        "float32",
        _CPU,
        why="a large offset common to all logits, which the maximum must take out",
        data="offset",
    ),
    Workload(
        "gpt2-cpu",
        {"N": 2048, "D": 768, "V": 50257},
        "float32",
        _BENCH,
        why="GPT-2 small's head on a laptop: 412 MB of logits in plain torch",
        data="peaked",
    ),
    Workload(
        "gpt2-small",
        {"N": 8192, "D": 768, "V": 50257},
        "bfloat16",
        _BENCH,
        why="GPT-2 small: odd vocabulary, little arithmetic per logit",
        data="peaked",
    ),
    Workload(
        "gemma2-2b",
        {"N": 8192, "D": 2304, "V": 256000},
        "bfloat16",
        _BENCH,
        why="Gemma-2 2B: the largest vocabulary in wide use, 3.9 GiB of bfloat16 logits",
        data="peaked",
    ),
    Workload(
        "llama3-8b",
        {"N": 8192, "D": 4096, "V": 128256},
        "bfloat16",
        _BENCH,
        why="Llama-3 8B: a wide hidden state",
        data="peaked",
    ),
)
