"""Samples split over two processes give the bits that one process gives."""

import tempfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import onetrip
from onetrip.ops.kmeans.reference import make_inputs

SPLIT = 130  # of 200: the parts are not of one size


def _inputs():
    inputs = make_inputs(
        {"N": 200, "D": 4, "K": 30},
        dtype=torch.float32,
        data="poor-start",
        optional_inputs=("sample_weight",),
    )
    # Some clusters start where no sample is, so that samples of either process move to them.
    inputs["centers"][:3] = 1e4
    return inputs


def _work(rank, folder, impl):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    inputs = _inputs()
    mine = slice(None, SPLIT) if rank == 0 else slice(SPLIT, None)
    centers, values = onetrip.kmeans(
        inputs["x"][mine],
        inputs["centers"],
        sample_weight=inputs["sample_weight"][mine],
        max_iter=9,
        tol=0.0,
        group=dist.group.WORLD,
        impl=impl,
    )
    torch.save((centers, values), f"{folder}/{rank}")
    dist.destroy_process_group()


@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_two_processes_are_one(impl, run_processes):
    with tempfile.TemporaryDirectory() as folder:
        run_processes(_work, args=(folder, impl), nprocs=2)
        parts = [torch.load(Path(folder, str(rank))) for rank in range(2)]
    inputs = _inputs()
    centers, values = onetrip.kmeans(
        inputs["x"],
        inputs["centers"],
        sample_weight=inputs["sample_weight"],
        max_iter=9,
        tol=0.0,
    )
    assert values["n_iter"] > 3
    for part_centers, part_values in parts:
        assert torch.equal(part_centers, centers)
        assert torch.equal(part_values["inertia"], values["inertia"])
        assert part_values["n_iter"] == values["n_iter"]
    labels = torch.cat([part_values["labels"] for _, part_values in parts])
    assert torch.equal(labels, values["labels"])
