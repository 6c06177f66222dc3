import pytest
import torch

from onetrip.bench.truths import find_truth
from onetrip.bench.truths import linear_cross_entropy as chunked
from onetrip.testing.contract import Case, load_operator
from onetrip.testing.contract.evaluate import truth

OPERATOR = load_operator("linear_cross_entropy")
WORKLOADS = {w.name: w for w in OPERATOR.workloads if "cpu" in w.tags}


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("rows", [7, 1000])
def test_chunks_give_the_whole_truth(name, rows, monkeypatch):
    monkeypatch.setattr(chunked, "_rows", lambda device, N, V, itemsize: rows)
    case = Case(OPERATOR, "reference", WORKLOADS[name], torch.device("cpu"))
    inputs = case.inputs()
    wrt = case.differentiable(inputs)
    found, whole = find_truth(case, inputs, wrt), truth(case, inputs, wrt)
    assert found.gold.keys() == whole.gold.keys()
    for name, gold in whole.gold.items():
        torch.testing.assert_close(found.gold[name], gold, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.eager[name], whole.eager[name], rtol=1e-4, atol=1e-4)
    for name in whole.stands_at.keys() & whole.gold.keys():
        says = whole.stands_at[name](whole.gold[name])
        assert torch.equal(found.stands_at[name](whole.gold[name]), says)
    for name, gold in whole.gold_gradients.items():
        assert gold is not None
        torch.testing.assert_close(found.gold_gradients[name], gold, rtol=1e-10, atol=1e-12)
        eager = found.eager_gradients[name]
        assert eager is not None
        assert eager.dtype == inputs[name].dtype
        torch.testing.assert_close(
            eager.double(), gold, rtol=0.0, atol=0.02 * float(gold.abs().max())
        )


def test_rows_of_a_chunk_fit_the_memory():
    rows = chunked._rows(torch.device("cpu"), 10**6, 256_000, 8)
    assert rows * 256_000 * 8 * chunked._COPIES <= 1 << 30
    assert chunked._rows(torch.device("cpu"), 5, 10, 8) == 5
    assert chunked._rows(torch.device("cpu"), 5, 10**12, 8) == 1
