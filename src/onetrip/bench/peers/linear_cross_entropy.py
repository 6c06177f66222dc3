"""Peers of linear cross entropy.

Options are passed under each package's own names. Call conventions were read in torch 2.13,
Liger 0.8.5, cut-cross-entropy 25.1.1 and quack 0.6.5.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from onetrip.bench.peers import Call, Peer
from onetrip.core.errors import UnsupportedError

_PLAIN = frozenset({"reduction", "ignore_index", "label_smoothing", "linear_bias", "weight"})


def _eager(options: Mapping[str, Any]) -> Call:
    softcap = options.get("softcap")
    scale = options.get("logit_scale", 1.0)
    names = ("reduction", "ignore_index", "label_smoothing")
    keywords = {name: options[name] for name in names if name in options}

    def eager(
        input: Tensor,
        linear_weight: Tensor,
        target: Tensor,
        linear_bias: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        logits = F.linear(input, linear_weight, linear_bias).float()
        if scale != 1.0:
            logits = logits * scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        return F.cross_entropy(logits, target, weight, **keywords)

    return eager


def _compiled(options: Mapping[str, Any]) -> Call:
    # What an earlier workload compiled must not count towards this one's recompilations.
    torch.compiler.reset()
    return torch.compile(_eager(options), dynamic=False)


def _torch_chunked(options: Mapping[str, Any]) -> Call:
    function = getattr(F, "linear_cross_entropy", None)
    if function is None:
        raise UnsupportedError(
            f"torch-chunked needs torch >= 2.13 (F.linear_cross_entropy), this is "
            f"{torch.__version__}."
        )
    chunking = torch.nn.LinearCrossEntropyOptions()

    def torch_chunked(
        input: Tensor,
        linear_weight: Tensor,
        target: Tensor,
        linear_bias: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        return function(
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            weight=weight,
            options=chunking,
            **options,
        )

    return torch_chunked


def _liger(options: Mapping[str, Any], **settings: Any) -> Call:
    from liger_kernel.transformers.functional import (  # pyright: ignore[reportMissingImports]
        liger_fused_linear_cross_entropy,
    )

    keywords = dict(options)
    if "z_loss" in keywords:
        keywords["lse_square_scale"] = keywords.pop("z_loss")

    def liger(
        input: Tensor,
        linear_weight: Tensor,
        target: Tensor,
        linear_bias: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        return liger_fused_linear_cross_entropy(
            input, linear_weight, target, linear_bias, weight, **keywords, **settings
        )

    return liger


def _liger_accurate(options: Mapping[str, Any]) -> Call:
    return _liger(options, accum_dtype=torch.float32, chunk_mem_const=16)


def _cut_cross_entropy(options: Mapping[str, Any], filter_eps: str | None = "high") -> Call:
    from cut_cross_entropy import (  # pyright: ignore[reportMissingImports]
        linear_cross_entropy,
    )

    def cut_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor) -> Tensor:
        return linear_cross_entropy(
            input, linear_weight, target, impl="cce", filter_eps=filter_eps, **options
        )

    return cut_cross_entropy


def _cut_cross_entropy_exact(options: Mapping[str, Any]) -> Call:
    return _cut_cross_entropy(options, filter_eps=None)


def _quack(options: Mapping[str, Any]) -> Call:
    from quack.linear_cross_entropy import (  # pyright: ignore[reportMissingImports]
        chunked_linear_cross_entropy,
    )

    if options.get("reduction") == "none":
        raise UnsupportedError("quack reduces to the mean or the sum only.")

    def quack(input: Tensor, linear_weight: Tensor, target: Tensor) -> Tensor:
        if any(size % 8 for size in (*input.shape, linear_weight.shape[0])):
            raise UnsupportedError(
                f"quack needs N, D and V to be multiples of 8, got {list(input.shape)} and "
                f"{list(linear_weight.shape)}."
            )
        return chunked_linear_cross_entropy(
            input, linear_weight, target, chunk_size=4096, tuned=True, **options
        )

    return quack


PEERS = (
    Peer(
        "eager",
        "plain torch: the logits in memory, then F.cross_entropy in float32",
        _eager,
        _PLAIN | {"softcap", "logit_scale"},
    ),
    Peer(
        "compile",
        "torch.compile of plain torch",
        _compiled,
        _PLAIN | {"softcap", "logit_scale"},
    ),
    Peer(
        "torch-chunked",
        "torch.nn.functional.linear_cross_entropy with its default options",
        _torch_chunked,
        # With label smoothing it forms all logits, and says so in a warning.
        _PLAIN - {"label_smoothing"},
    ),
    Peer(
        "liger",
        "Liger's fused linear cross entropy as shipped: bfloat16 weight gradient",
        _liger,
        _PLAIN | {"softcap", "z_loss"},
        "liger-kernel",
    ),
    Peer(
        "liger-float32",
        "Liger with float32 accumulation and 16 times its memory per chunk",
        _liger_accurate,
        _PLAIN | {"softcap", "z_loss"},
        "liger-kernel",
    ),
    Peer(
        "cce",
        "cut-cross-entropy as shipped: gradient filter on",
        _cut_cross_entropy,
        frozenset({"softcap", "reduction", "ignore_index"}),
        "cut-cross-entropy",
    ),
    Peer(
        "cce-exact",
        "cut-cross-entropy without its gradient filter",
        _cut_cross_entropy_exact,
        frozenset({"softcap", "reduction", "ignore_index"}),
        "cut-cross-entropy",
    ),
    Peer(
        "quack",
        "quack's chunked linear cross entropy, chunks of 4096 tokens, tuned",
        _quack,
        frozenset({"reduction", "ignore_index"}),
        "quack-kernels",
    ),
)
