"""Checks of manners: same bits every time, inputs as they were, no more memory than declared."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from onetrip.testing.contract.evaluate import forward, same_bits, truth
from onetrip.testing.contract.operator import Case
from onetrip.testing.memory import peak_memory

_RUNS = 3
# No threads race in the interpreter: a second run finds what the first one left behind.
_INTERPRETED_RUNS = 2
# Sizes at which an intermediate of two axes stands out from the rest.
_MEMORY_SCALE = 3
# Scalars, and the rounding of an allocator.
_SLACK_BYTES = 1 << 15


def check_deterministic(case: Case) -> None:
    """Runs on the same inputs are equal to the last bit, unless the spec says why not."""
    if not case.operator.spec.deterministic:
        return
    inputs = case.inputs(seed=10)
    first = _everything(case, inputs)
    for _ in range((_INTERPRETED_RUNS if case.interpreted else _RUNS) - 1):
        for name, tensor in _everything(case, inputs).items():
            before = first[name]
            if not same_bits(tensor, before):
                apart = int((tensor != before).sum())
                raise AssertionError(
                    f"`{name}` differs between two runs in {apart} of {tensor.numel()} elements"
                )


def check_inputs_unchanged(case: Case) -> None:
    """Neither pass writes into an input or into an incoming gradient."""
    inputs = case.inputs(seed=11)
    wrt = case.differentiable(inputs)
    grads = truth(case, inputs, wrt).grad_outputs
    watched = {**inputs, **{f"incoming gradient of {name}": t for name, t in grads.items()}}
    before = {name: tensor.clone() for name, tensor in watched.items()}
    forward(case, case.run, inputs, wrt).backward(grads)
    for name, tensor in watched.items():
        if not same_bits(tensor, before[name]):
            raise AssertionError(f"the operator wrote into `{name}`")


def check_peak_memory(case: Case) -> None:
    """Memory beyond inputs, outputs and gradients stays within what `select.py` declares."""
    case = case.resized(**{k: size * _MEMORY_SCALE for k, size in case.workload.axes.items()})
    inputs = case.inputs(seed=12)
    wrt = case.differentiable(inputs)
    grads = truth(case, inputs, wrt).grad_outputs
    if case.device.type == "cuda":
        forward(case, case.run, inputs, wrt).backward(grads)  # Compiling takes memory, once.
    with _prompt_collection(), peak_memory(case.device) as memory:
        result = forward(case, case.run, inputs, wrt)
        gradients = result.backward(grads)
    returned = [*result.outputs.values(), *gradients.values()]
    returned_bytes = sum(tensor.nbytes for tensor in returned if tensor is not None)
    problem = case.problem
    select = case.operator.select
    config = select.default_config(case.impl, problem)
    workspace_bytes = select.workspace_bytes(case.impl, problem, config)
    allowed_bytes = returned_bytes + workspace_bytes + _SLACK_BYTES
    if memory.peak_bytes > allowed_bytes:
        raise AssertionError(
            f"peak of {memory.peak_bytes:,} bytes over the inputs, declared {allowed_bytes:,}: "
            f"{returned_bytes:,} of results and {workspace_bytes:,} of workspace"
        )


@contextmanager
def _prompt_collection() -> Iterator[None]:
    """Collect garbage at once: Triton's interpreter leaves a launch's arguments in cycles."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(500, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _everything(case: Case, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    wrt = case.differentiable(inputs)
    result = forward(case, case.run, inputs, wrt)
    gradients = result.backward(truth(case, inputs, wrt).grad_outputs)
    found = {f"gradient of {name}": t for name, t in gradients.items() if t is not None}
    return {**result.outputs, **found}
