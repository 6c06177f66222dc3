"""k-means on a device: certified labels, equal bits, memory; sizes that only a device holds."""

import pytest
import torch

import onetrip
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.ops.kmeans.select import unsupported_reason
from onetrip.ops.kmeans.solve import problem_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


def drawn(data, dtype=torch.float32, **sizes):
    return make_inputs(sizes, dtype=dtype, device="cuda", data=data)


def wrong(x, centers, labels):
    distances = torch.cdist(x.double(), centers.double())
    chosen = distances.gather(1, labels.long()[:, None]).squeeze(1)
    return int((chosen > distances.amin(1) * (1 + 1e-12)).sum())


def skip_unsupported(impl, x, clusters):
    reason = unsupported_reason(impl, problem_of(x, clusters, {}))
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("impl", ["triton", "gluon"])
@pytest.mark.parametrize("data", ["noise", "offset", "poor-start"])
@pytest.mark.parametrize("D", [8, 28, 60, 100, 128, 256, 300])
def test_every_label_is_exact(impl, data, D):
    inputs = drawn(data, N=20_000, D=D, K=333)
    skip_unsupported(impl, inputs["x"], 333)
    centers, values = onetrip.kmeans(**inputs, max_iter=5, impl=impl)
    assert wrong(inputs["x"], centers, values["labels"]) == 0


@pytest.mark.parametrize(("N", "D", "K"), [(70, 128, 60), (20_001, 100, 333), (30_000, 128, 1024)])
def test_every_label_is_exact_where_items_and_tiles_are_one_or_many(N, D, K):
    x, start = drawn("noise", N=N, D=D, K=K).values()
    skip_unsupported("gluon", x, K)
    centers, values = onetrip.kmeans(x, start, max_iter=4, tol=0.0, impl="gluon")
    assert wrong(x, centers, values["labels"]) == 0


@pytest.mark.parametrize("impl", ["triton", "gluon"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("data", ["noise", "poor-start"])
def test_the_device_gives_the_bits_of_the_cpu(impl, dtype, data):
    inputs = drawn(data, dtype, N=5000, D=24, K=50)
    skip_unsupported(impl, inputs["x"], 50)
    on_cpu = {name: tensor.cpu() for name, tensor in inputs.items()}
    centers, values = onetrip.kmeans(**inputs, max_iter=10, impl=impl)
    expected, expected_values = onetrip.kmeans(**on_cpu, max_iter=10, impl="torch")
    assert torch.equal(centers.cpu(), expected)
    assert torch.equal(values["labels"].cpu(), expected_values["labels"])


def test_the_copy_engine_takes_rows_from_any_place():
    inputs = drawn("noise", N=1001, D=24, K=30)
    skip_unsupported("gluon", inputs["x"], 30)
    displaced = torch.empty(1001 * 24 + 1, device="cuda")[1:].view(1001, 24)
    displaced.copy_(inputs["x"])
    for x in (inputs["x"], displaced):
        _, values = onetrip.kmeans(x, inputs["centers"], max_iter=4, impl="gluon")
        _, expected = onetrip.kmeans(x, inputs["centers"], max_iter=4, impl="triton")
        assert torch.equal(values["labels"], expected["labels"])


@pytest.mark.parametrize("impl", ["triton", "gluon"])
def test_two_runs_are_equal_to_the_bit(impl):
    inputs = drawn("noise", N=300_000, D=32, K=100)
    skip_unsupported(impl, inputs["x"], 100)
    first, again = (onetrip.kmeans(**inputs, max_iter=8, impl=impl) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1]["inertia"], again[1]["inertia"])


def test_float64_stays_float64():
    inputs = drawn("noise", torch.float64, N=3000, D=12, K=20)
    centers, values = onetrip.kmeans(**inputs, max_iter=5)
    assert centers.dtype == torch.float64
    assert wrong(inputs["x"], centers, values["labels"]) == 0


def test_more_rows_than_int32_has_elements():
    x = torch.randint(-8, 8, (70_000_000, 32), device="cuda", dtype=torch.int8).half()
    start = x[-64:].clone()
    _, values = onetrip.kmeans(x, start, max_iter=0, impl="triton")
    tail = onetrip.kmeans(x[-1000:], start, max_iter=0, impl="triton")[1]["labels"]
    assert torch.equal(values["labels"][-1000:], tail)
