"""Problems whose tensors, or whose logits, have more than 2³¹ elements."""

import pytest
import torch

from onetrip.bench.gate import examine
from onetrip.bench.truths import find_truth
from onetrip.core.workload import Workload
from onetrip.testing.contract import Case, load_operator

NEEDED_BYTES = 70 << 30

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.cuda.is_available()
        or torch.cuda.get_device_properties(0).total_memory < NEEDED_BYTES,
        reason="there is no device of 70 GB",
    ),
]

OPERATOR = load_operator("linear_cross_entropy")
IMPLEMENTATIONS = [name for name in OPERATOR.spec.implementations if name != "reference"]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "axes",
    [
        pytest.param({"N": 8704, "D": 64, "V": 250_000}, id="logits"),
        pytest.param({"N": 64, "D": 2176, "V": 1_000_000}, id="head"),
    ],
)
def test_linear_cross_entropy_beyond_int32(impl, axes):
    large = Workload("large", axes, "bfloat16", frozenset({"bench"}), "beyond 2³¹ elements")
    case = Case(OPERATOR, impl, large, torch.device("cuda"))
    if case.unsupported_reason() is not None:
        pytest.skip(str(case.unsupported_reason()))
    inputs = case.inputs()
    wrt = case.differentiable(inputs)
    reports = examine(case, case.run, inputs, wrt, find_truth(case, inputs, wrt))
    torch.cuda.empty_cache()
    assert {name: str(report) for name, report in reports.items() if not report.within} == {}
