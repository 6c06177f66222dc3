"""A head split over a group of processes gives what the whole head gives in one."""

import pytest
import shard_worker
import torch

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without torch.distributed"
)


# All cases in one set of processes, and all that is asked of them in one test: they start slowly.
@pytest.mark.parametrize("world", [2, 4])
def test_split_head_gives_what_the_whole_head_gives(world, tmp_path, monkeypatch, run_processes):
    # Children read it before they import anything.
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    run_processes(shard_worker.run, (world, str(tmp_path)), nprocs=world)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(world)]
    cases = ranks[0].keys() - {"refusals"}
    assert len(cases) >= 6
    for case in sorted(cases):
        results = [rank[case] for rank in ranks]
        assert_like_the_whole(case, results)
        assert_equal_on_all_ranks(case, results)
    # Two largest logits are equal, on the first process and on the last.
    assert ranks[0]["unequal-everything"]["argmax"][1] == 3
    assert_all_refuse([rank["refusals"] for rank in ranks])


def belongs_to_a_rank(name):
    """Whether a result is of this process's rows of the head."""
    return name.endswith(("linear_weight", "linear_bias"))


def assert_like_the_whole(case, results):
    split, options = shard_worker.CASES[case]
    whole = shard_worker.call(shard_worker.problem(split), options)
    assert whole.keys() == results[0].keys()
    for name, expected in whole.items():
        if belongs_to_a_rank(name):
            actual = torch.cat([result[name] for result in results])
        else:
            actual = results[-1][name]
        torch.testing.assert_close(
            actual, expected, rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f"{case}: {n}: {text}"
        )


def assert_equal_on_all_ranks(case, results):
    """To the last bit: optimizers of all ranks must do the same."""
    first, *others = results
    for name, value in first.items():
        if not belongs_to_a_rank(name):
            assert all(torch.equal(other[name], value) for other in others), f"{case}: {name}"


def assert_all_refuse(refusals):
    first, *others = refusals
    assert all(other == first for other in others)
    assert "[0, 152) or the ignore index, got 1 target" in first["target"]
    assert "does not split the vocabulary" in first["reference"]
    assert "a vector of all 152 classes" in first["weight"]
