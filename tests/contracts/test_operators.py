"""Every operator keeps its contract: all implementations, on all workloads tagged "cpu"."""

import pytest

from onetrip.core.operators import operator_names
from onetrip.testing.contract import contract_checks

CHECKS = [
    pytest.param(check, id=f"{name}-{check.name}")
    for name in operator_names()
    for check in contract_checks(name)
]


@pytest.mark.parametrize("check", CHECKS)
def test_operator_keeps_its_contract(check):
    if check.skip_reason is not None:
        pytest.skip(check.skip_reason)
    check.run()
