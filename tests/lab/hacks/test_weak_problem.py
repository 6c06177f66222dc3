"""A constant wins where a problem accepts everything; such a problem is never judged."""

from onetrip.lab.problems.load import load_problem
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.problems.screen import screen


def screened(problems, **options):
    ref = ProblemRef("folder", str(problems / "softmax"), options)
    return screen(load_problem(ref), device="cpu", seconds=5.0)


def test_a_problem_that_takes_a_constant_is_refused(problems):
    assert not screened(problems).refused
    # The rounding of plain torch, a thousand million times over.
    assert "zero" in screened(problems, factor=1e9).refused
