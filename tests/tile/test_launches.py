"""Later launches of a kernel skip the questions of the first."""

import pytest
import torch

from onetrip.tile.launches import Launches, launch


class Recorder:
    """A kernel that writes down how it was launched; `compiles` as on a device."""

    arg_names = ("x", "n", "WIDE", "BLOCK")

    def __init__(self, compiles):
        self.compiles, self.asked, self.again = compiles, [], []
        self.fn = object()

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


def test_a_launch_asks_only_for_other_kinds_of_arguments():
    kernel, memory = Recorder(compiles=True), torch.zeros(64)
    for grid, x, n in (((5,), memory, 32), ((2, 3), memory[4:], 48), ((5,), memory[1:], 32)):
        launch(kernel, grid, x, n, BLOCK=64, WIDE=True, num_warps=4)
    assert [grid for grid, *_ in kernel.asked] == [(5, 1, 1)] * 2
    ((grid, arguments),) = kernel.again
    assert grid == (2, 3, 1)
    assert arguments[1:] == (48, True, 64)


def test_launches_of_problems_and_single_ones_share_what_is_compiled():
    kernel, memory = Recorder(compiles=True), torch.zeros(64)
    launch(kernel, (7,), memory, 32, BLOCK=64, WIDE=True)
    Launches()(kernel, 7, memory, 32, BLOCK=64, WIDE=True)
    assert (len(kernel.asked), len(kernel.again)) == (1, 1)
