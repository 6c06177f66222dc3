"""The public function: contract, checks, dispatch."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import UnsupportedError
from onetrip.ops.linear_cross_entropy import arguments, select
from onetrip.ops.linear_cross_entropy.autograd import eager_statistics
from onetrip.ops.linear_cross_entropy.library import compiled_statistics
from onetrip.ops.linear_cross_entropy.loss import Tokens, loss_by_rows, reduce_loss
from onetrip.ops.linear_cross_entropy.plan import rows_per_block
from onetrip.ops.linear_cross_entropy.reference import linear_cross_entropy_reference
from onetrip.ops.linear_cross_entropy.resolve import problem_of, resolve
from onetrip.ops.linear_cross_entropy.statistics import Options
from onetrip.ops.linear_cross_entropy.walk import Wanted


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    z_loss: float = 0.0,
    token_weight: Tensor | None = None,
    aux: Sequence[str] = (),
    memory_budget: int | None = None,
    group: dist.ProcessGroup | None = None,
    impl: str = "auto",
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Cross entropy of a linear layer's output, without ever holding the [N, V] logits.

    Replaces these lines, in which every step stores N x V numbers::

        logits = torch.nn.functional.linear(input, linear_weight, linear_bias).float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), target.flatten(), ...)

    The logits stay on chip, tile by tile. What is stored is a few numbers per token and a
    workspace within `memory_budget`.

    Parameters
    ----------
    input : Tensor [..., D], float32 | float16 | bfloat16
        Hidden states; N is the product of the leading axes.
    linear_weight : Tensor [V, D], same dtype and device as `input`
        Head matrix. A `DTensor` sharded on dim 0 is a head split over its mesh, like `group`.
    target : Tensor [...], int64 | int32
        Class of each token, or `ignore_index`.
    linear_bias : Tensor [V], same dtype as `input`, optional
        With `group`, this process's part.
    weight : Tensor [V], float32, optional
        Class weights, of all classes also with `group`; not differentiated.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the summed weights of the tokens that count, as torch does.
    ignore_index : int, default -100
        Targets of this value contribute nothing.
    label_smoothing : float in [0, 1], default 0.0
        As in `torch.nn.functional.cross_entropy`.
    softcap : float, optional
        Logits become ``softcap * tanh(logits / softcap)`` (Gemma 2).
    logit_scale : float, default 1.0
        Logits are multiplied by it before the cap (Cohere; Granite divides: pass 1 / scaling).
    z_loss : float, default 0.0
        Adds ``z_loss * lse ** 2`` to each token's loss (PaLM), with its gradient.
    token_weight : Tensor [...], float32, optional
        Factor of each token's loss and of its share of the mean; differentiated.
    aux : sequence of {"logprob", "lse", "entropy", "argmax"}, default ()
        Also return these for each token, from the same pass; all but argmax are differentiable.
    memory_budget : int, optional
        Bytes of workspace beyond inputs, outputs and gradients. Default 256 MiB (more where even
        the smallest tiles need more). More memory means less recomputation: 4 matrix products
        with none of the logits kept, 3 with all.
    group : torch.distributed.ProcessGroup, optional
        The vocabulary is split over this group: each rank passes its `[V_rank, D]` rows of the
        head, in rank order, and the same `input` and `target`.
    impl : {"auto", "reference", "torch", "triton", "gluon"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    loss : Tensor [] or [...], float32
        Shape of `target` where `reduction` is "none".
    values : dict of str to Tensor [...]
        Only if `aux` is not empty. float32, argmax int64. The log-probability of an ignored token
        is 0.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        An argument that does not fit: which, what was expected, what came. Targets out of range
        raise on a CPU; on a GPU their loss is NaN and the next call raises (`target_checks`).
    UnsupportedError
        `impl` cannot run this problem here; the message says why.

    Notes
    -----
    Differentiable in `input`, `linear_weight`, `linear_bias` and `token_weight`, once. Two runs
    on one device are bit-equal. Error budget: `spec.py`. The loss of a token whose probability is
    close to 1 keeps its digits, and so does its gradient.

    References
    ----------
    `torch.nn.functional.linear_cross_entropy`, PyTorch 2.13. Wijmans et al., arXiv 2411.09009.

    Examples
    --------
    >>> import onetrip, torch
    >>> hidden = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    >>> head = torch.eye(2)
    >>> loss = onetrip.linear_cross_entropy(hidden, head, torch.tensor([0, 1]))
    >>> round(loss.item(), 4)
    0.2201
    >>> loss.backward()
    >>> loss, values = onetrip.linear_cross_entropy(
    ...     hidden, head, torch.tensor([0, 1]), reduction="none", aux=("entropy", "argmax")
    ... )
    >>> values["argmax"]
    tensor([0, 1])
    """
    options = {
        "reduction": reduction,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "softcap": softcap,
        "logit_scale": logit_scale,
        "z_loss": z_loss,
        "aux": tuple(aux),
    }
    arguments.check_options(options, memory_budget, impl)
    head = arguments.local_head(linear_weight, linear_bias, group)
    input, head = arguments.autocast(arguments.local_input(input), head)
    tensors = {
        "input": input,
        "linear_weight": head.weight,
        "target": target,
        "linear_bias": head.bias,
        "weight": weight,
        "token_weight": token_weight,
    }
    arguments.check_tensors(tensors, split=bool(head.group), impl=impl)
    if recording.active():
        recording.note("linear_cross_entropy", tensors, {**options, "memory_budget": memory_budget})
    shape = target.shape
    tokens = Tokens(
        target=target.reshape(-1),
        valid=target.reshape(-1) != ignore_index,
        class_weight=weight,
        token_weight=None if token_weight is None else token_weight.reshape(-1),
    )
    x = input.reshape(target.numel(), input.shape[-1])
    if impl == "reference" or x.numel() == 0:
        if head.group:
            raise UnsupportedError('`impl="reference"` does not split the vocabulary over `group`.')
        result = linear_cross_entropy_reference(
            x,
            head.weight,
            tokens.target,
            linear_bias=head.bias,
            weight=weight,
            token_weight=tokens.token_weight,
            **options,
        )
        loss, values = result if isinstance(result, tuple) else (result, {})
    else:
        loss, values = _without_logits(x, head, tokens, options, memory_budget, impl)
    if reduction == "none":
        loss = loss.reshape(shape)
    if not aux:
        return loss
    return loss, {name: values[name].reshape(shape) for name in aux}


def _without_logits(
    x: Tensor,
    head: arguments.Head,
    tokens: Tokens,
    options: dict[str, Any],
    memory_budget: int | None,
    impl: str,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and per-token values of flattened rows."""
    x = x.contiguous()
    # Rows may have any stride, so that a slice of a larger head is read where it lies.
    weight = head.weight if head.weight.stride(1) == 1 else head.weight.contiguous()
    # A kernel reads vectors without a stride; their gradients come back through these.
    bias = None if head.bias is None else head.bias.contiguous()
    tokens = tokens.for_kernels()
    tensors = (x, weight, bias)
    wants_grad = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    compiling = torch.compiler.is_compiling()
    resolved = None
    if not compiling:
        asked = {**options, "memory_budget": memory_budget, "group": head.group}
        problem = problem_of(x, weight, asked)
        resolved = impl, config = resolve(impl, problem)
        if wants_grad and memory_budget is not None:
            arguments.check_budget(memory_budget, select.workspace_bytes(impl, problem, config))
        weighs = tokens.token_weight is not None and tokens.token_weight.requires_grad
        if wants_grad and select.by_rows(impl, problem) and not weighs:
            budget = select.budget_of(problem)
            rows = min(config["rows"], rows_per_block(*x.shape, V=weight.shape[0], budget=budget))
            return loss_by_rows(*tensors, tokens, options, rows=rows), {}
    outputs = {name for name in options["aux"] if name != "logprob"}
    outputs |= {"lse"} if options["z_loss"] > 0 else set()
    outputs |= {"smooth"} if options["label_smoothing"] > 0 else set()
    names = ("input", "weight", "bias")
    asks = [wants_grad and t is not None and t.requires_grad for t in tensors]
    class_weight = tokens.class_weight if "smooth" in outputs else None
    plain = (options["ignore_index"], options["logit_scale"], options["softcap"])
    budget = select.DEFAULT_BUDGET if memory_budget is None else memory_budget
    if compiling:
        grads = " ".join(name for name, asked in zip(names, asks, strict=True) if asked)
        asked_for = " ".join(sorted(outputs))
        logprob, lse, entropy, smooth, argmax, *_ = compiled_statistics(
            *tensors,
            class_weight,
            tokens.target,
            *plain,
            asked_for,
            grads,
            impl,
            budget,
            head.group,
        )
    else:
        call = Options(*plain, frozenset(outputs), Wanted(*asks), impl, budget, head.group)
        logprob, lse, entropy, smooth, argmax = eager_statistics(
            *tensors, class_weight, tokens.target, call, resolved
        )
    loss = reduce_loss(logprob, lse, smooth, tokens, options)
    return loss, {"logprob": logprob, "lse": lse, "entropy": entropy, "argmax": argmax}
