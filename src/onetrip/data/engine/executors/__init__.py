"""Where tasks run: processes here, Ray, an array of Slurm; state is in files, not in them."""

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.engine.executors.executor import Executor

EXECUTORS = ("local", "ray", "inline")


def executor_named(name: str, workers: int) -> Executor:
    """The executor called `name` with so many workers.

    >>> executor_named("local", 1).name
    'local'
    """
    if name == "local":
        from onetrip.data.engine.executors.local import LocalExecutor

        return LocalExecutor(workers)
    if name == "ray":
        from onetrip.data.engine.executors.ray import RayExecutor

        return RayExecutor(workers)
    if name == "inline":
        from onetrip.data.engine.executors.inline import InlineExecutor

        return InlineExecutor()
    expected = f"one of {', '.join(EXECUTORS)}"
    way_out = "An array of Slurm is --rank and --world, with either."
    raise ArgumentError(complaint("executor", expected=expected, got=repr(name), way_out=way_out))
