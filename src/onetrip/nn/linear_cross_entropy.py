"""A head and its loss in one module, without the logits between them."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from onetrip.core.errors import ShapeError, complaint
from onetrip.ops.linear_cross_entropy.api import linear_cross_entropy


class LinearCrossEntropyLoss(nn.Module):
    """Cross entropy of a linear layer's output, without ever holding the [N, V] logits.

    Replaces ``torch.nn.CrossEntropyLoss()(linear(hidden), target)``, and takes the names of
    `torch.nn.LinearCrossEntropyLoss` (PyTorch 2.13). The linear layer is `self.linear`: the
    parameters are ``linear.weight`` and ``linear.bias``, class weights the buffer ``weight``.

    Parameters
    ----------
    in_features : int
        D, features of a hidden state.
    num_classes : int
        V, classes of the head; with `group`, those of this process.
    bias : bool, default False
        Whether the head has a bias.
    weight : Tensor [V], float32, optional
        Class weights, of all classes also with `group`; not differentiated.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the summed weights of the tokens that count.
    ignore_index : int, default -100
        Targets of this value contribute nothing.
    label_smoothing : float in [0, 1], default 0.0
        As in `torch.nn.CrossEntropyLoss`.
    softcap : float, optional
        Logits become ``softcap * tanh(logits / softcap)``.
    logit_scale : float, default 1.0
        Logits are multiplied by it before the cap.
    z_loss : float, default 0.0
        Adds ``z_loss * lse ** 2`` to each token's loss, with its gradient.
    memory_budget : int, optional
        Bytes of workspace beyond inputs, outputs and gradients. Default 256 MiB.
    group : torch.distributed.ProcessGroup, optional
        The vocabulary is split over this group; each rank holds its rows of the head.
    impl : {"auto", "reference", "torch", "triton", "gluon"}, default "auto"
        A named implementation never falls back.
    device : torch.device, optional
        Where the head's parameters are made.
    dtype : torch.dtype, optional
        The head's dtype, which `input` must have unless autocast is on.

    Raises
    ------
    ShapeError
        `weight` has another length than `num_classes`. Everything else is checked in each call,
        as by `onetrip.linear_cross_entropy`.

    Notes
    -----
    Shapes of a call: `input` [..., D], `target` [...] and `token_weight` [...]; the loss is a
    scalar, or [...] where `reduction` is "none".

    Examples
    --------
    >>> import torch
    >>> from onetrip.nn import LinearCrossEntropyLoss
    >>> lm_head = torch.nn.Linear(16, 1000, bias=False)
    >>> criterion = LinearCrossEntropyLoss.from_linear(lm_head, softcap=30.0)
    >>> hidden, target = torch.randn(2, 7, 16), torch.randint(1000, (2, 7))
    >>> loss = criterion(hidden, target)
    >>> loss.backward()
    >>> lm_head.weight.grad.shape
    torch.Size([1000, 16])
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        bias: bool = False,
        *,
        weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        z_loss: float = 0.0,
        memory_budget: int | None = None,
        group: dist.ProcessGroup | None = None,
        impl: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if weight is not None and group is None and weight.shape != (num_classes,):
            expected = f"of shape [{num_classes}]"
            raise ShapeError(complaint("weight", expected=expected, got=list(weight.shape)))
        self.linear = nn.Linear(in_features, num_classes, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.softcap = softcap
        self.logit_scale = logit_scale
        self.z_loss = z_loss
        self.memory_budget = memory_budget
        self.group = group
        self.impl = impl

    @classmethod
    def from_linear(cls, linear: nn.Linear, **options: Any) -> "LinearCrossEntropyLoss":
        """Put the loss behind a head that exists, and share it.

        Parameters
        ----------
        linear : torch.nn.Linear, or any module with `weight` [V, D] and `bias` [V] or None
            The head. It becomes `self.linear`, the module itself and no copy: what is loaded
            into it, or tied to it later, is what the loss uses.
        **options : as of the class, from `weight` to `impl`.

        Returns
        -------
        LinearCrossEntropyLoss

        Raises
        ------
        ShapeError
            The head's weight is no matrix, or `weight` has another length than it has rows.
        """
        if linear.weight.dim() != 2:
            got = list(linear.weight.shape)
            raise ShapeError(complaint("linear.weight", expected="[V, D]", got=got))
        V, D = linear.weight.shape
        loss = cls(D, V, device="meta", **options)
        loss.linear = linear
        return loss

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        token_weight: Tensor | None = None,
        aux: Sequence[str] = (),
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Loss of the hidden states, and per-token values if `aux` names any.

        Parameters
        ----------
        input : Tensor [..., D], float32 | float16 | bfloat16
            Hidden states.
        target : Tensor [...], int64 | int32
            Class of each token, or `ignore_index`.
        token_weight : Tensor [...], float32, optional
            Factor of each token's loss and of its share of the mean; differentiated.
        aux : sequence of {"logprob", "lse", "entropy", "argmax"}, default ()
            Also return these for each token.

        Returns
        -------
        Tensor, or (Tensor, dict of str to Tensor)
            As of `onetrip.linear_cross_entropy`.
        """
        return linear_cross_entropy(
            input,
            self.linear.weight,
            target,
            linear_bias=self.linear.bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            softcap=self.softcap,
            logit_scale=self.logit_scale,
            z_loss=self.z_loss,
            token_weight=token_weight,
            aux=aux,
            memory_budget=self.memory_budget,
            group=self.group,
            impl=self.impl,
        )

    def extra_repr(self) -> str:
        """Options that differ from their defaults."""
        defaults = {
            "reduction": "mean",
            "ignore_index": -100,
            "label_smoothing": 0.0,
            "softcap": None,
            "logit_scale": 1.0,
            "z_loss": 0.0,
            "memory_budget": None,
            "impl": "auto",
        }
        chosen = {name: getattr(self, name) for name in defaults}
        return ", ".join(
            f"{name}={value!r}" for name, value in chosen.items() if value != defaults[name]
        )
