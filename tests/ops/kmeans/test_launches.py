"""Later launches of a kernel skip the questions of the first, and an iteration has few."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import onetrip
from onetrip.ops.kmeans.launches import Launches
from onetrip.ops.kmeans.reference import make_inputs

# Operations of torch that give a device nothing to do.
_IDLE = ("empty", "select", "slice", "view", "unbind", "detach", "as_strided", "alias")


class Recorder:
    """A kernel that writes down how it was launched; `compiles` as on a device."""

    arg_names = ("x", "n", "WIDE", "BLOCK")

    def __init__(self, compiles):
        self.compiles, self.asked, self.again = compiles, [], []

    def __getitem__(self, grid):
        def launch(*arguments, **options):
            self.asked.append((grid, arguments, options))
            return Compiled(self) if self.compiles else None

        return launch


class Compiled:
    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return lambda *arguments: self.kernel.again.append((grid, arguments))


def test_a_kernel_is_asked_once_for_each_grid_and_options():
    kernel, launch = Recorder(compiles=True), Launches()
    for x in ("a", "b", "c"):
        launch(kernel, 5, x, 7, BLOCK=64, WIDE=True, num_warps=4)
    launch(kernel, 5, "d", 7, BLOCK=32, WIDE=True, num_warps=4)
    launch(kernel, 6, "e", 7, BLOCK=64, WIDE=True, num_warps=4)
    assert [arguments[0] for _, arguments, _ in kernel.asked] == ["a", "d", "e"]
    assert kernel.again == [((5, 1, 1), (x, 7, True, 64)) for x in ("b", "c")]


@pytest.mark.parametrize("launches", [1, 3])
def test_the_interpreter_is_asked_every_time(launches):
    kernel, launch = Recorder(compiles=False), Launches()
    for _ in range(launches):
        launch(kernel, 2, "x", 1, BLOCK=8, WIDE=False)
    assert len(kernel.asked) == launches


def test_another_call_asks_only_for_other_kinds_of_arguments():
    kernel, memory = Recorder(compiles=True), torch.zeros(64)
    kinds = ((memory, 32), (memory[4:], 48), (memory[1:], 32), (memory, 33), (memory.double(), 32))
    for x, n in kinds:
        Launches()(kernel, 5, x, n, BLOCK=64, WIDE=True)
    # The second begins at 16 bytes as well, and has a multiple of 16 too.
    assert [arguments[1] for _, arguments, _ in kernel.asked] == [32, 32, 33, 32]
    assert [arguments[1] for _, arguments in kernel.again] == [48]
    Launches()(kernel, 6, memory, 32, BLOCK=32, WIDE=True)
    assert len(kernel.asked) == 5


class Log(TorchDispatchMode):
    """What a device would be given: kernels, and operations of torch outside of them."""

    def __init__(self):
        super().__init__()
        self.given, self.in_kernel = [], False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if not self.in_kernel and not name.startswith(_IDLE):
            self.given.append(name)
        return func(*args, **(kwargs or {}))


def given_by(monkeypatch, iterations):
    inputs = make_inputs({"N": 300, "D": 8, "K": 20}, dtype=torch.float32, data="noise")
    log, launch = Log(), Launches.__call__

    def noted(self, kernel, *arguments, **options):
        log.given.append(kernel.fn.__name__)
        log.in_kernel = True
        launch(self, kernel, *arguments, **options)
        log.in_kernel = False

    with monkeypatch.context() as patched, log:
        patched.setattr(Launches, "__call__", noted)
        _, values = onetrip.kmeans(**inputs, max_iter=iterations, tol=0.0, impl="triton")
    assert values["n_iter"] == iterations
    return log.given


def test_an_iteration_is_few_launches_and_no_question(monkeypatch):
    """The host learns of an iteration from the copy of a report alone, and one later."""
    less, more = (given_by(monkeypatch, iterations) for iterations in (3, 4))
    assert more.count("_local_scalar_dense") == less.count("_local_scalar_dense") <= 3
    assert more.count("copy_") == less.count("copy_") + 1
    assert len(more) - len(less) <= 10
