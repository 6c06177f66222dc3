"""k-means on a device: certified labels, equal bits, memory; sizes that only a device holds."""

import pytest
import torch

import onetrip
from onetrip.cluster import MiniBatchKMeans
from onetrip.ops.kmeans.batches import DeviceBatch
from onetrip.ops.kmeans.distances import distances_to
from onetrip.ops.kmeans.mini_batch import mini_batch_step
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.ops.kmeans.select import unsupported_reason
from onetrip.ops.kmeans.solve import problem_of

_BY_DIFFERENCES = "donot_use_mm_for_euclid_dist"

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


@pytest.mark.parametrize(("D", "offset"), [(128, 0.0), (37, 100.0), (300, 0.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_have_the_digits_of_their_dtype(D, offset, dtype):
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(3001, D, generator=generator, device="cuda", dtype=dtype) + offset
    found = distances_to(x, x[:333])
    expected = torch.cdist(x.double(), x[:333].double(), compute_mode=_BY_DIFFERENCES)
    assert not found[:333].diagonal().any()
    rtol = 2.0**-23 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=0.0)


@pytest.mark.parametrize(("rows", "D", "K"), [(4096, 128, 100), (1001, 40, 300), (70, 3, 1)])
def test_a_mini_batch_moves_centres_as_on_the_cpu_and_as_before(rows, D, K):
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(20_000, D, generator=generator, device="cuda") + 2.0
    centers, counts = x[:K].clone(), torch.arange(K, device="cuda", dtype=torch.float64)
    weight = torch.rand(rows, generator=generator, device="cuda", dtype=torch.float64)
    batch = DeviceBatch(x, torch.randint(20_000, (rows,)), weight)
    found, again = (mini_batch_step(batch, centers, counts, "certified") for _ in range(2))
    points = prepare(x.cpu()[batch.numbers], weight.cpu(), "euclidean")
    expected = mini_batch_step(points, centers.cpu(), counts.cpu(), "certified")
    torch.testing.assert_close(found.centers.cpu(), expected.centers, rtol=2.0**-22, atol=1e-7)
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-6)
    assert torch.equal(found.centers, again.centers)
    assert torch.equal(found.counts, again.counts)
    assert found[2:] == again[2:]


@pytest.mark.parametrize("options", [{}, {"reassignment_ratio": 0.5}, {"tol": 0.05}])
def test_mini_batches_of_a_device_come_to_the_centres_of_the_cpu(options):
    x = drawn("noise", N=20_000, D=24, K=50)["x"]
    x[::40] += 9.0
    fits = [
        MiniBatchKMeans(
            50, init=samples[:50], n_init=1, random_state=0, max_iter=2, device=device, **options
        ).fit(samples)
        for samples, device in ((x, "auto"), (x.cpu(), "cuda"), (x.cpu(), "auto"))
    ]
    first, *others = (torch.as_tensor(fit.cluster_centers_).cpu() for fit in fits)
    assert len({fit.n_steps_ for fit in fits}) == 1
    for centers in others:
        torch.testing.assert_close(centers, first, rtol=1e-5, atol=1e-5)
