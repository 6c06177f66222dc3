"""Steps of mini-batch k-means by the kernels of a device, in the interpreter."""

import pytest
import torch

from onetrip.ops.kmeans.batches import DeviceBatch
from onetrip.ops.kmeans.device_mini_batch import DeviceSteps
from onetrip.ops.kmeans.mini_batch import mini_batch_step
from onetrip.ops.kmeans.prepare import prepare


def drawn(rows=90, features=7, clusters=13, scale=1.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(rows, features, generator=generator) * scale + 3.0 * scale).to(dtype)
    counts = torch.randint(0, 4, (clusters,), generator=generator).double()
    centers = x[:clusters].clone()
    return x, centers if dtype == torch.float64 else centers.float(), counts


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_that_of_the_cpu(dtype, weighted):
    x, centers, counts = drawn(dtype=dtype)
    numbers = torch.randint(0, 90, (50,), generator=torch.Generator().manual_seed(1))
    weight = torch.linspace(0.0, 2.0, 50, dtype=torch.float64) if weighted else None
    found = mini_batch_step(DeviceBatch(x, numbers, weight), centers, counts, "certified")
    points = prepare(x[numbers], weight, "euclidean")
    expected = mini_batch_step(points, centers, counts, "certified")
    torch.testing.assert_close(found.centers, expected.centers, rtol=2.0**-23, atol=0.0)
    torch.testing.assert_close(found.counts, expected.counts, rtol=1e-12, atol=0.0)
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-6)
    assert [found.least, found.largest] == pytest.approx(
        [float(number) for number in expected.counts.aminmax()], rel=1e-12
    )


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1.0, 1e18, 1e30])
def test_labels_are_those_of_differences_at_any_scale(scale):
    x, centers, counts = drawn(scale=scale)
    near = torch.cat((centers, centers * (1.0 + 2.0**-23)))
    steps = DeviceSteps(near, torch.cat((counts, counts)), 90)
    steps.step(DeviceBatch(x), None, near, torch.cat((counts, counts)))
    squares = (x.double()[:, None] - near.double()).square().sum(2)
    assert torch.equal(steps._labels.long(), squares.argmin(1))


@pytest.mark.parametrize("clusters", [9, 140])
def test_rows_that_products_leave_in_doubt_are_decided_by_differences(clusters):
    """Far from the origin even products of float64 lose what tells small numbers apart."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(clusters + 60, 11, generator=generator, dtype=torch.float64) + 2.0**30
    centers, counts = x[:clusters].clone(), torch.zeros(clusters, dtype=torch.float64)
    steps = DeviceSteps(centers, counts, x.shape[0])
    steps.step(DeviceBatch(x), None, centers, counts)
    squares = (x.double()[:, None] - centers.double()).square().sum(2)
    assert torch.equal(steps._labels.long(), squares.argmin(1))


def test_of_equal_centres_the_first_wins_over_tiles():
    x, _, _ = drawn()
    same = x[:50].repeat(4, 1)
    counts = torch.zeros(200, dtype=torch.float64)
    steps = DeviceSteps(same, counts, 50)
    found = steps.step(DeviceBatch(x[:50]), None, same, counts)
    assert torch.equal(steps._labels, torch.arange(50, dtype=torch.int32))
    assert (found.inertia, found.least, found.largest) == (0.0, 0.0, 1.0)


def test_a_step_launched_in_vain_leaves_no_trace():
    x, centers, counts = drawn()
    batches = [DeviceBatch(x, torch.arange(first, first + 40)) for first in (0, 20, 45)]
    steps = DeviceSteps(centers, counts, 40)
    first = steps.step(batches[0], batches[1], centers, counts)
    others, weights = first.centers.flip(0).clone(), first.counts.flip(0).clone()
    second = steps.step(batches[1], batches[2], others, weights)
    moved = second.centers.clone()
    third = steps.step(batches[2], None, second.centers, second.counts)
    expected = mini_batch_step(batches[1], others, weights, "certified")
    assert torch.equal(moved, expected.centers)
    assert second.inertia == expected.inertia
    expected = mini_batch_step(batches[2], expected.centers, expected.counts, "certified")
    assert torch.equal(third.centers, expected.centers)
    assert third[2:] == expected[2:]


def test_rows_of_a_batch_are_numbers_of_its_samples():
    x, _, _ = drawn()
    batch = DeviceBatch(x, torch.tensor([5, 3, 8]))
    assert batch.size == 3
    assert torch.equal(batch.rows(torch.tensor([2, 0])).x, x[[8, 5]])
    assert torch.equal(DeviceBatch(x).rows(torch.tensor([4])).x, x[[4]])
