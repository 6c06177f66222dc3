"""From a torch device to the problem that an operator's `select.py` is asked about."""

import functools
from collections.abc import Mapping

import torch

from onetrip.core.selection import Problem
from onetrip.core.spec import EMPTY

# What `Problem.options` holds when Triton runs its kernels in its interpreter, as CPU tests do.
INTERPRETER = "interpreter"


def problem_on(
    device: str | torch.device,
    axes: Mapping[str, int],
    dtype: str | torch.dtype,
    options: Mapping[str, object] = EMPTY,
) -> Problem:
    """Describe a problem on one of this machine's devices.

    Parameters
    ----------
    device : where the tensors are.
    axes : letter -> size.
    dtype : of the floating inputs.
    options : keyword arguments that change the work; on a CPU, `INTERPRETER` is added when
        Triton interprets its kernels.

    Returns
    -------
    Problem

    Examples
    --------
    >>> problem = problem_on("cpu", {"N": 8}, torch.float32)
    >>> problem.device_kind, problem.dtype
    ('cpu', 'float32')
    """
    device = torch.device(device)
    dtype = str(dtype).removeprefix("torch.")
    if device.type != "cuda":
        if is_interpreting():
            options = {**options, INTERPRETER: True}
        return Problem(axes, dtype, device.type, device_name=device.type, options=options)
    index = torch.cuda.current_device() if device.index is None else device.index
    return Problem(axes, dtype, "cuda", *_gpu(index), options)


@functools.cache
def _gpu(index: int) -> tuple[int, bool, str]:
    """Architecture, whether it is AMD's, and name: to ask for them takes 30 µs of each call."""
    properties = torch.cuda.get_device_properties(index)
    if torch.version.hip is None:
        return 10 * properties.major + properties.minor, False, properties.name
    # "gfx942:sramecc+:xnack-"; names with letters (gfx90a) have no number of their own.
    name = properties.gcnArchName.partition(":")[0].removeprefix("gfx")
    return int(name) if name.isdecimal() else 0, True, properties.name


def is_interpreting() -> bool:
    """Whether Triton runs its kernels in its interpreter; no when there is no Triton."""
    try:
        from triton import knobs
    except ModuleNotFoundError:
        return False
    return bool(knobs.runtime.interpret)
