"""Statistics of every token and their gradients: what runs, in which tiles, with what kept."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from onetrip.core.errors import ShapeError, complaint
from onetrip.core.selection import Config, Problem
from onetrip.ops.linear_cross_entropy import select
from onetrip.ops.linear_cross_entropy.arguments import without_autocast
from onetrip.ops.linear_cross_entropy.columns import Backend, Forward, Request, forward
from onetrip.ops.linear_cross_entropy.plan import Plan
from onetrip.ops.linear_cross_entropy.resolve import make_backend, problem_of, resolve
from onetrip.ops.linear_cross_entropy.rows import RowGradients
from onetrip.ops.linear_cross_entropy.shards import Shard, find_shard
from onetrip.ops.linear_cross_entropy.walk import Gradients, Wanted, backward


@dataclass(frozen=True, slots=True)
class Options:
    """The plain arguments of one call.

    Parameters
    ----------
    outputs : statistics besides the log-probability; "lse" says that its gradient may come.
    wanted : gradients that will be asked for.
    impl : an implementation's name, or "auto".
    group : a process group's name, or "" where one process holds the whole head.
    """

    ignore_index: int
    logit_scale: float
    softcap: float | None
    outputs: frozenset[str]
    wanted: Wanted
    impl: str
    memory_budget: int
    group: str


@dataclass(frozen=True, slots=True)
class Route:
    """What runs one call, forward and backward: resolved once, and free of tensors."""

    options: Options
    problem: Problem
    impl: str
    config: Config
    plan: Plan
    shard: Shard

    def backend(self) -> Backend:
        """A backend for this call's implementation, configuration and tiles."""
        return make_backend(self.impl, self.problem, self.config, self.plan.columns)

    def request(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        class_weight: Tensor | None,
        target: Tensor,
    ) -> Request:
        """The call's tensors beside what is asked of them."""
        total = self.shard.total
        if class_weight is not None and class_weight.shape[0] != total:
            expected = f"a vector of all {total} classes"
            raise ShapeError(complaint("weight", expected=expected, got=list(class_weight.shape)))
        options = self.options
        return Request(
            input=input,
            weight=weight,
            bias=bias,
            class_weight=class_weight,
            target=target,
            ignore_index=options.ignore_index,
            logit_scale=options.logit_scale,
            softcap=options.softcap,
            entropy="entropy" in options.outputs,
            smoothing="smooth" in options.outputs,
            argmax="argmax" in options.outputs,
            shard=self.shard,
        )

    def forward(self, request: Request) -> Forward:
        """Walk the vocabulary once."""
        stores = select.stores_exponentials(self.problem)
        with without_autocast(request.input):
            return forward(self.backend(), request, self.plan, stores_exponentials=stores)

    def backward(self, saved: Forward, grads: RowGradients) -> Gradients:
        """Walk it again and finish the wanted gradients."""
        if grads.smooth is not None:
            grads = replace(grads, smooth=grads.smooth / self.shard.total)
        with without_autocast(saved.call.input):
            wanted = self.options.wanted
            return backward(self.backend(), self.plan, saved, grads, wanted, self.shard)

    def outputs(self, saved: Forward) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Log-probability, lse, entropy, smooth (a mean over all classes), argmax; or empty."""
        stats = saved.stats
        empty = stats.lse.new_empty(0)
        return (
            stats.logprob,
            stats.lse,
            empty if stats.entropy is None else stats.entropy,
            empty.clone() if stats.smooth is None else stats.smooth / self.shard.total,
            empty.to(torch.int64) if stats.argmax is None else stats.argmax,
        )


def find_route(
    input: Tensor, weight: Tensor, options: Options, resolved: tuple[str, Config] | None = None
) -> Route:
    """Resolve a call from its shapes and its device; `resolved` when the caller has done so."""
    problem = problem_from(input, weight, options)
    impl, config = resolved or resolve(options.impl, problem)
    wanted = options.wanted
    plan = select.plan_for(
        impl,
        problem,
        config,
        grad_input=wanted.input,
        grad_weight=wanted.weight,
        keep=bool(wanted),
    )
    shard = find_shard(options.group, weight)
    return Route(options, problem, impl, config, plan, shard)


def problem_from(input: Tensor, weight: Tensor, options: Options) -> Problem:
    """Describe the statistics of a call to `select`."""
    asked: dict[str, object] = {
        "memory_budget": options.memory_budget,
        "reduction": "none",
        "aux": tuple(options.outputs & {"lse", "entropy"}),
        "softcap": options.softcap,
        "label_smoothing": 1.0 if "smooth" in options.outputs else 0.0,
    }
    return problem_of(input, weight, asked)
