"""An iteration on a device is few launches, and asks it nothing."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import onetrip
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.tile.launches import Launches

# Operations of torch that give a device nothing to do.
_IDLE = ("empty", "select", "slice", "view", "unbind", "detach", "as_strided", "alias")


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
