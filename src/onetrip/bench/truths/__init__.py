"""The truth about a problem of any size: in chunks where an operator has a file here."""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from onetrip.bench.roofline import full_float32
from onetrip.testing.contract import Case
from onetrip.testing.contract.evaluate import (
    Forward,
    Truth,
    forward,
    random_grad_outputs,
    stands_at,
    truth,
)


def find_truth(
    case: Case, inputs: Mapping[str, Tensor], wrt: Sequence[str], grad_seed: int = 1
) -> Truth:
    """Evaluate the reference in the working dtype and in float64, forward and backward.

    An operator whose reference would fill the memory has a file of its name beside this one, with
    ``in_chunks(case, inputs, wrt, dtype) -> Forward``: the reference on a few rows at a time, its
    gradients gathered in a wider dtype. ``dtype=None`` stands for the inputs' own.
    """
    name = f"{__name__}.{case.operator.spec.name}"
    with full_float32():
        if importlib.util.find_spec(name) is None:
            return truth(case, inputs, wrt, grad_seed)
        in_chunks = importlib.import_module(name).in_chunks
        gold = in_chunks(case, inputs, wrt, torch.float64)
        grads = random_grad_outputs(case, gold, grad_seed)
        gold_gradients = gold.backward(grads)
        # Detached, for the graph holds the leaves: gigabytes of float64.
        gold_outputs = {output: tensor.detach() for output, tensor in gold.outputs.items()}
        del gold
        eager = in_chunks(case, inputs, wrt, None)
        eager_gradients = {
            leaf: None if gradient is None else gradient.to(inputs[leaf].dtype)
            for leaf, gradient in eager.backward(grads).items()
        }
        eager_outputs = {output: tensor.detach() for output, tensor in eager.outputs.items()}
    judged = stands_at(case, inputs)
    return Truth(eager_outputs, gold_outputs, eager_gradients, gold_gradients, grads, judged)


def reference_forward(
    case: Case, inputs: Mapping[str, Tensor], wrt: Sequence[str], dtype: torch.dtype | None
) -> Forward:
    """The reference in `dtype`, or in the inputs' own where it is None, as `find_truth` runs it."""
    name = f"{__name__}.{case.operator.spec.name}"
    with full_float32():
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name).in_chunks(case, inputs, wrt, dtype)
        cast = {
            name: tensor.to(dtype or tensor.dtype) if tensor.is_floating_point() else tensor
            for name, tensor in inputs.items()
        }
        return forward(case, case.reference, cast, wrt)
