"""A head split over a group of processes gives what the whole head gives in one."""

import os

import pytest
import shard_worker
import torch
from torch.multiprocessing.spawn import spawn

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_available(), reason="no torch.distributed"),
    # One worker starts the processes for all of them.
    pytest.mark.xdist_group("shards"),
]

WORLDS = (2, 4)
CASES = [
    (world, case)
    for world in WORLDS
    for case in shard_worker.CASES
    if world == 2 or not case.startswith("triton")
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Per world, what every rank got: all cases in one set of processes, which start slowly."""
    found = {}
    # Children read it before they import anything.
    interpret = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    for world in WORLDS:
        folder = tmp_path_factory.mktemp(f"world-{world}")
        spawn(shard_worker.run, (world, str(folder)), nprocs=world)
        found[world] = [torch.load(folder / f"{rank}.pt") for rank in range(world)]
    if interpret is None:
        del os.environ["TRITON_INTERPRET"]
    return found


@pytest.mark.parametrize(("world", "case"), CASES, ids=str)
def test_split_head_gives_what_the_whole_head_gives(results, world, case):
    ranks = [rank[case] for rank in results[world]]
    split, options = shard_worker.CASES[case]
    whole = shard_worker.call(shard_worker.problem(split), options)
    for name, expected in whole.items():
        if name.endswith(("linear_weight", "linear_bias")):
            together = torch.cat([rank[name] for rank in ranks])
            torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-6, msg=name)
            continue
        for rank in ranks:
            torch.testing.assert_close(rank[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("world", "case"), CASES, ids=str)
def test_ranks_agree_to_the_last_bit(results, world, case):
    first, *others = (rank[case] for rank in results[world])
    for name, value in first.items():
        if not name.endswith(("linear_weight", "linear_bias")):
            for other in others:
                assert torch.equal(other[name], value), name


def test_argmax_of_equals_on_two_ranks_is_the_smallest(results):
    for world in WORLDS:
        assert results[world][0]["unequal-everything"]["argmax"][1] == 3


@pytest.mark.parametrize("world", WORLDS)
def test_every_rank_refuses_what_one_refuses(results, world):
    first, *others = (rank["refusals"] for rank in results[world])
    assert all(other == first for other in others)
    assert "[0, 152) or the ignore index, got 1 target" in first["target"]
    assert "does not split the vocabulary" in first["reference"]
    assert "a vector of all 152 classes" in first["weight"]
