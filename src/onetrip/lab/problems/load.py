"""From the place of a problem to the problem, in a process that has torch."""

from typing import TYPE_CHECKING

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.lab.problems.problem import Problem, ProblemRef

if TYPE_CHECKING:
    pass

KINDS = ("operator", "folder", "kernelbench", "run")


def load_problem(ref: ProblemRef) -> Problem:
    """Read a problem that kernels are judged on.

    Parameters
    ----------
    ref : where it is; `ref.options` are described at the class of each kind.

    Returns
    -------
    Problem

    Raises
    ------
    ArgumentError
        An unknown kind, operator, workload or option.
    DataError
        A file is missing or is not what its format asks for.
    UnsupportedError
        A run, which `onetrip.lab.problems.run.judge_run` judges; or a folder for another language.

    Examples
    --------
    >>> problem = load_problem(
    ...     ProblemRef("operator", "linear_cross_entropy", {"workload": "ragged"}))
    >>> problem.name, [output.name for output in problem.outputs(problem.cases[0])]
    ('linear_cross_entropy/ragged', ['loss', 'grad_input', 'grad_linear_weight'])
    """
    if ref.kind == "operator":
        from onetrip.lab.problems.operator import OperatorProblem

        return OperatorProblem(ref)
    if ref.kind == "folder":
        from onetrip.lab.problems.folder import FolderProblem

        return FolderProblem(ref)
    if ref.kind == "kernelbench":
        from onetrip.lab.problems.kernelbench import KernelBenchProblem

        return KernelBenchProblem(ref)
    if ref.kind == "run":
        raise UnsupportedError(
            f"{ref.location} is a run: it has parameters and metrics, no kernel. Judge it with "
            "onetrip.lab.problems.run.judge_run."
        )
    raise ArgumentError(complaint("kind", expected=f"one of {KINDS}", got=repr(ref.kind)))
