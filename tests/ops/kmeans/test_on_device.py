"""The kernels of a device, in the interpreter: bits of the CPU, bounds, rows in doubt."""

import numpy as np
import pytest
import torch

import onetrip
from onetrip.ops.kmeans.device_search import Search, _scale
from onetrip.ops.kmeans.exact_sums import exact_total
from onetrip.ops.kmeans.kernel_update_triton import _kmeans_total_kernel
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.reference import make_inputs
from onetrip.ops.kmeans.select import default_config
from onetrip.ops.kmeans.solve import problem_of


def search_for(x, centers, **options):
    config = default_config("triton", problem_of(x, centers.shape[0], {}))
    points = prepare(x, None, "euclidean")
    search = Search(points, centers, config, **{"certified": True, "spherical": False, **options})
    search.aim(centers, centers)
    return search


def open_rows(search):
    return (search.other == -2).nonzero().squeeze(1)


def far_groups(rows=600, clusters=20):
    """Two far groups: within one, centres are told apart by digits that float16 does not hold."""
    generator = torch.Generator().manual_seed(0)
    side = torch.randint(2, (rows, 1), generator=generator) * 2.0 - 1.0
    x = side * 300.0 + torch.randn(rows, 5, generator=generator)
    return x, x[:clusters].clone()


@pytest.mark.parametrize(
    ("data", "D", "dtype", "options", "optional_inputs"),
    [
        ("poor-start", 24, torch.float32, {}, ("sample_weight",)),
        ("offset", 17, torch.float16, {}, ()),
        ("offset", 7, torch.float32, {"metric": "cosine"}, ()),
        ("noise", 300, torch.float32, {"max_iter": 2}, ()),
    ],
)
def test_the_kernels_give_the_bits_of_the_cpu(data, D, dtype, options, optional_inputs):
    inputs = make_inputs(
        {"N": 300, "D": D, "K": 20}, dtype=dtype, data=data, optional_inputs=optional_inputs
    )
    options = {"max_iter": 4, "tol": 0.0, **options}
    centers, values = onetrip.kmeans(**inputs, **options, impl="triton")
    expected, expected_values = onetrip.kmeans(**inputs, **options, impl="torch")
    assert torch.equal(centers, expected)
    assert torch.equal(values["labels"], expected_values["labels"])
    assert values["n_iter"] == expected_values["n_iter"]
    torch.testing.assert_close(
        values["inertia"], expected_values["inertia"], rtol=2.0**-22, atol=0.0
    )


@pytest.mark.parametrize("tol", [0.0, 0.3])
def test_an_iteration_launched_in_vain_leaves_no_trace(tol):
    """Clusters fall empty again and again, or the centres hardly move."""
    inputs = make_inputs({"N": 200, "D": 4, "K": 40}, dtype=torch.float32, data="poor-start")
    centers, values = onetrip.kmeans(**inputs, max_iter=8, tol=tol, impl="triton")
    expected, expected_values = onetrip.kmeans(**inputs, max_iter=8, tol=tol, impl="torch")
    assert torch.equal(centers, expected)
    assert torch.equal(values["labels"], expected_values["labels"])
    assert values["n_iter"] == expected_values["n_iter"]


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e15])
def test_no_rounded_score_is_further_off_than_its_bound(scale):
    inputs = make_inputs({"N": 400, "D": 40, "K": 30}, dtype=torch.float32, data="offset")
    x, centers = inputs["x"] * scale, inputs["centers"] * scale
    search = search_for(x, centers)
    points = search.points
    longest = max(search.longest.view(torch.float32).item(), search.longest_mean)
    unit = search.scale * _scale(longest)
    offset = points.offset.double()
    wide_x, wide_c = x.double() - offset, centers.double() - offset
    true = (wide_c.square().sum(1) / 2 - wide_x @ wide_c.T) * unit
    half_x = (points.centred * search.scale).half().double()
    rounded = search.level[:30].double() - half_x @ search.half[:30, :40].double().T
    rows = torch.stack((search.residue, points.norm * search.scale, torch.ones(400)), 1).double()
    bound = rows @ search.reach[:3].double() / 2  # of one score; two are compared
    error = (rounded - true).abs().amax(1)
    assert bool((error <= bound).all())
    assert bool((bound <= 40.0 * error.max()).all())


def test_doubtful_rows_are_few_but_all_that_err():
    x, centers = far_groups()
    exact = torch.cdist(
        x.double(), centers.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).argmin(1)
    labels = torch.empty(600, dtype=torch.int32)
    search_for(x, centers, certified=False).label(centers, labels)
    errs = labels != exact
    assert errs.any()
    search = search_for(x, centers)
    search.label(centers, labels)
    assert bool((search.other[errs] != -1).all())
    assert search.count.tolist() == [len(open_rows(search)), int((search.other >= 0).sum())]
    assert torch.equal(search.doubt[: search.count[0]].sort()[0].long(), open_rows(search))
    assert torch.equal(labels.long(), exact)
    spread = torch.randn(600, 5, generator=torch.Generator().manual_seed(1))
    clear = search_for(spread, spread[:20].clone())
    clear.find(labels)
    pairs = clear.other >= 0
    # The farther first: whoever does not measure both keeps it.
    labels[pairs], clear.other[pairs] = clear.other[pairs], labels[pairs].clone()
    clear._settle(spread[:20], labels)
    assert 0 < int(clear.count[1]) <= int(clear.count.sum()) < 30
    distances = torch.cdist(spread.double(), spread[:20].double())
    assert torch.equal(labels.long(), distances.argmin(1))


@pytest.mark.parametrize("copies", [4, 35])
def test_candidates_of_one_place_in_many_tiles_are_all_measured(copies):
    """Each in a tile of its own, or, with more than 32 tiles, in a group of two."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator)
    near = x.repeat(copies, 1) + 1e-5 * torch.randn(64 * copies, 5, generator=generator)
    labels = torch.empty(64, dtype=torch.int32)
    search = search_for(x, near)
    search.label(near, labels)
    assert int(search.count[0]) == 64
    distances = torch.cdist(x.double(), near.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(labels.long(), distances.argmin(1))
    assert labels.unique().numel() > 60


def test_of_equal_centres_the_first_wins():
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    same, labels = x.repeat(4, 1), torch.empty(64, dtype=torch.int32)
    search_for(x, same).label(same, labels)
    assert torch.equal(labels.long(), torch.arange(64))


def test_centres_beyond_every_scale_lose():
    x, centers = far_groups(60, 6)
    far = torch.cat((centers[:3], torch.full((2, 5), 3e25), centers[3:]))
    _, values = onetrip.kmeans(x, far, max_iter=0, impl="triton")
    _, expected = onetrip.kmeans(x, far, max_iter=0, impl="torch")
    assert torch.equal(values["labels"], expected["labels"])


@pytest.mark.parametrize("scale", [0.0, 1e-200, 3.7, 1e150])
def test_terms_add_up_as_on_a_cpu_without_a_question(scale):
    terms = torch.rand(3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    terms *= scale
    total = torch.zeros(1, dtype=torch.float64)
    _kmeans_total_kernel[(2,)](terms, terms.sum(0, keepdim=True), total, 3000, BLOCK_N=2048)
    assert torch.equal(total[0], exact_total(terms))


@pytest.mark.parametrize("norm", [0.0, 1e-30, 0.7, 1.0, 1.0000001, 3e9, float("inf")])
def test_centres_are_scaled_by_the_power_that_the_host_would_take(norm):
    centers = torch.zeros(3, 4)
    centers[1, 2] = norm
    start = torch.zeros(20, 4)
    search = search_for(start, centers)
    with np.errstate(invalid="ignore"):
        search.aim(centers, centers)
    expected = centers.double() * _scale(norm)
    assert torch.equal(search.half[:3, :4].double(), expected.float().half().double())


def test_another_start_finds_the_launches_of_the_first():
    x, centers = far_groups()
    searches = [search_for(x, start) for start in (centers, centers.clone(), centers[:7])]
    assert searches[0].launch is searches[1].launch is not searches[2].launch
    displaced = torch.empty(101)[1:].view(20, 5).copy_(centers)
    assert search_for(x, displaced).launch is not searches[0].launch
