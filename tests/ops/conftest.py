"""Processes of a group start slowly: here one imports torch, and the others are its forks."""

import functools
import multiprocessing
from collections.abc import Callable

import pytest
from torch.multiprocessing.spawn import start_processes

IMPORTED_ONCE = [
    "torch.distributed.tensor",
    "onetrip.ops.kmeans.api",
    "onetrip.ops.linear_cross_entropy.api",
]


@pytest.fixture(scope="session")
def run_processes() -> Callable[..., object]:
    """Call `torch.multiprocessing.spawn`, but for the imports."""
    multiprocessing.set_forkserver_preload(IMPORTED_ONCE)
    return functools.partial(start_processes, start_method="forkserver")
