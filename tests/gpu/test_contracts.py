"""The contract of every operator on a device: the same workloads, in every dtype of the device."""

import pytest
import torch

from onetrip.core.operators import operator_names
from onetrip.testing.contract import contract_checks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]

DTYPES = ("float32", "float16", "bfloat16")


def checks_on_device():
    if not torch.cuda.is_available():
        return [pytest.param(None, id="no-device")]
    return [
        pytest.param(check, id=f"{name}-{check.name}")
        for name in operator_names()
        for check in contract_checks(name, device="cuda", dtypes=DTYPES)
    ]


@pytest.mark.parametrize("check", checks_on_device())
def test_operator_keeps_its_contract_on_a_device(check):
    if check.skip_reason is not None:
        pytest.skip(check.skip_reason)
    check.run()
