"""Every kernel of every operator compiles for its targets and keeps its bounds."""

import pytest

from onetrip.testing.compile_lane import (
    SIZES_OF_ONE,
    declared_cases,
    first_cases,
    kernel_modules,
    kernels_without_case,
)


def declared():
    for module in kernel_modules():
        one = first_cases(module).values()
        for case in declared_cases(module):
            for target in (*case.targets, *([SIZES_OF_ONE] if case in one else [])):
                operator, kernel_file = module.split(".")[-2:]
                yield pytest.param(
                    module,
                    case.name,
                    target,
                    id=f"{operator}-{kernel_file}-{case.name}-{target.replace(' ', '-')}",
                    # One process runs an operator's cases and keeps the answers.
                    marks=pytest.mark.xdist_group(f"compile-{operator}"),
                )


@pytest.mark.parametrize("module", kernel_modules())
def test_every_kernel_has_a_case(module):
    assert kernels_without_case(module) == ()
    names = [case.name for case in declared_cases(module)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("module", "case", "target"), list(declared()))
def test_keeps_its_bounds(lane, module, case, target):
    record = lane(module).record(case, target)
    assert record["broken"] == []
