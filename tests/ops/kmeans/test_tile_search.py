"""A tile's search against float64: the least, the second least, and who is in doubt."""

import numpy as np
import pytest
import torch

from onetrip.ops.kmeans.few_points import by_columns
from onetrip.ops.kmeans.tile_search import MOST_CENTERS, Rounding, TileSearch, quiet
from onetrip.tile.certified import score_bound


def searched(x: torch.Tensor, centers: torch.Tensor, search: TileSearch | None = None):
    search = search or TileSearch(*centers.shape, x.dtype)
    with quiet():
        return _searched(x, centers, search)


def _searched(x: torch.Tensor, centers: torch.Tensor, search: TileSearch):
    aim = search.aim().at(centers.numpy())
    return search.nearest(
        x.numpy().T, search.reach(x.norm(dim=1).numpy(), aim), aim, with_second=True
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clusters", [1, 2, 37, MOST_CENTERS])
def test_two_least_scores_are_those_of_float64(dtype, clusters):
    generator = torch.Generator().manual_seed(clusters)
    x = torch.randn(300, 9, generator=generator).to(dtype)
    centers = torch.randn(clusters, 9, generator=generator).to(dtype)
    found = searched(x, centers)
    wide = centers.double()
    scores = wide.square().sum(1) - 2.0 * x.double() @ wide.T
    least, order = torch.cat((scores, torch.full((300, 1), torch.inf)), 1).sort(1)
    name = str(dtype).removeprefix("torch.")
    bound = score_bound(x.norm(dim=1), centers.norm(dim=1).max(), 0.0, 9, name).double()
    certain = np.setdiff1d(np.arange(300), found.doubtful)
    assert certain.size > 280
    assert np.array_equal(found.label[certain], order[certain, 0].numpy())
    for column, ours in enumerate((found.best, found.second)):
        off = (torch.from_numpy(ours).double() - least[:, column]).nan_to_num(0.0).abs()
        assert bool((off <= bound)[certain].all())


@pytest.mark.parametrize("copies", [2, 3, MOST_CENTERS])
def test_equal_centres_are_in_doubt_however_many(copies):
    """As many marks as a byte has values count to none."""
    centers = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).repeat(copies, 1)
    found = searched(torch.randn(40, 5, generator=torch.Generator().manual_seed(1)), centers)
    assert found.doubtful.tolist() == list(range(40))


def test_what_is_not_a_number_is_in_doubt():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    x[2], x[4] = torch.nan, torch.inf
    found = searched(x, torch.eye(3) * 4.0)
    assert {2, 4} <= set(found.doubtful.tolist())


def test_a_tile_serves_fewer_rows_and_then_more():
    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    centers, search = x[:7].clone(), TileSearch(7, 4, torch.float32)
    for rows in (60, 11, 60, 90):
        found, alone = searched(x[:rows], centers, search), searched(x[:rows], centers)
        for ours, theirs in zip(found, alone, strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clusters", [3, 200])
def test_a_row_of_ones_brings_the_squares_into_the_product(dtype, clusters):
    """Products in pieces and in one, of columns that are contiguous and that are not."""
    generator = torch.Generator().manual_seed(clusters)
    x = torch.randn(3000, 16, generator=generator).to(dtype)
    centers = 3.0 * torch.randn(clusters, 16, generator=generator).to(dtype)
    search, norm = TileSearch(*centers.shape, x.dtype), x.norm(dim=1)
    aim = search.aim().at(centers.numpy())
    reach = search.reach(norm.numpy(), aim)
    plain = search.nearest(x.numpy().T, reach, aim)
    wide = centers.double()
    truth = (wide.square().sum(1) - 2.0 * x.double() @ wide.T).numpy()
    label = truth.argmin(1)
    for columns in (x.T.contiguous().numpy(), by_columns(x.numpy())):
        found = search.nearest(columns, reach, aim)
        # Half of it is what rounding may do to one score.
        assert bool((np.abs(found.best - truth.min(1)) <= 0.5 * reach).all())
        certain = np.setdiff1d(np.arange(3000), found.doubtful)
        assert certain.size > 2950
        assert np.array_equal(found.label[certain], label[certain])
        assert np.abs(plain.best - found.best).max() <= reach.max()


@pytest.mark.parametrize("features", [1, 64, 1000])
def test_the_reach_is_twice_what_rounding_may_do_to_a_score(features):
    """D + 4 roundings of a product and of a square, and of a square that is one more term D + 1."""
    norm, largest, unit = 3.0, 5.0, 2.0**-24
    product = (features + 4) * unit * 2.0 * norm * largest
    square = (features + 4 + features + 1) * unit * largest**2
    reach = Rounding(0.0, features, "float32").reach(largest)
    found = float(reach.of(np.array([norm]))[0])
    assert 2.0 * (product + square) < found < 4.0 * (product + square)


def test_two_marks_of_one_row_do_not_stand_in_for_none_of_another():
    """As many marks as rows, and still two rows in doubt."""
    x = torch.eye(4)[:, :3].contiguous()
    x[1] = torch.nan
    centers = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    x[3] = centers[2]
    found = searched(x, centers)
    assert found.doubtful.tolist() == [0, 1]
    assert found.candidates.sum(0).tolist() == [2, 0]
