"""From tensors to a problem, and from a problem to the backend that computes its tiles."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from onetrip.core import selection
from onetrip.core.selection import Config, Problem
from onetrip.ops.linear_cross_entropy import select
from onetrip.ops.linear_cross_entropy.columns import Backend
from onetrip.tile.problem import problem_on


def problem_of(input: Tensor, linear_weight: Tensor, options: Mapping[str, object]) -> Problem:
    """Describe a call to `select`: input [N, D], linear_weight [V, D]."""
    axes = {"N": input.shape[0], "D": input.shape[1], "V": linear_weight.shape[0]}
    if not (_has_aligned_rows(input) and _has_aligned_rows(linear_weight)):
        options = {**options, "unaligned": True}
    return problem_on(input.device, axes, input.dtype, options)


def _has_aligned_rows(matrix: Tensor) -> bool:
    """Whether every row starts on 16 bytes, as the copy engine of a GPU needs."""
    if (
        matrix.device.type != "cuda"
        or torch.compiler.is_compiling()
        or isinstance(matrix, FakeTensor)
    ):
        return True
    return matrix.data_ptr() % 16 == 0 and matrix.stride(0) * matrix.element_size() % 16 == 0


def resolve(impl: str, problem: Problem) -> tuple[str, Config]:
    """The implementation and configuration that run; a named one runs or raises."""
    return selection.resolve(select.OPERATOR, select, impl, problem)


def make_backend(impl: str, problem: Problem, config: Config, columns: int) -> Backend:
    """The backend of an implementation; imports Triton only when it is needed."""
    store_logits = not select.stores_exponentials(problem)
    if impl == "triton":
        from onetrip.ops.linear_cross_entropy.triton_impl import TritonColumns

        return TritonColumns(config, store_logits=store_logits)
    if impl == "gluon":
        from onetrip.ops.linear_cross_entropy.gluon_impl import GluonColumns

        return GluonColumns(config, store_logits=store_logits)
    from onetrip.ops.linear_cross_entropy.torch_impl import TorchColumns

    return TorchColumns(columns)
