"""Work split over two GPUs by NCCL gives what one GPU gives."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

import onetrip

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are not two devices"),
]

SAMPLES, SPLIT = 200_000, 130_001  # parts of unequal sizes
CLASSES, CLASSES_OF_FIRST = 20_011, 12_000


def on_gpu(rank: int, *shape: int, seed: int) -> torch.Tensor:
    """The same numbers on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(f"cuda:{rank}")


def cluster(rank: int, mine: slice, group: Any = None) -> dict[str, Any]:
    x, centers = on_gpu(rank, SAMPLES, 48, seed=1), on_gpu(rank, 300, 48, seed=2)
    # Some clusters start where no sample is, so that samples of either device move to them.
    centers[:3] = 1e4
    found, values = onetrip.kmeans(x[mine], centers, max_iter=12, tol=0.0, group=group)
    return {"centers": found.cpu(), **{k: torch.as_tensor(v).cpu() for k, v in values.items()}}


def loss(rank: int, mine: slice, group: Any = None) -> dict[str, Any]:
    hidden = on_gpu(rank, 1500, 256, seed=3).bfloat16().requires_grad_()
    head = (0.05 * on_gpu(rank, CLASSES, 256, seed=4))[mine].bfloat16().requires_grad_()
    target = torch.arange(1500, device=hidden.device) * 13
    value = onetrip.linear_cross_entropy(hidden, head, target, group=group)
    value.backward()
    gradients: dict[str, Any] = {"hidden": hidden.grad, "head": head.grad}
    return {"loss": value.detach().cpu()} | {k: v.float().cpu() for k, v in gradients.items()}


def work(rank: int, folder: str) -> None:
    torch.cuda.set_device(rank)
    meeting = f"file://{folder}/meeting"
    device = torch.device("cuda", rank)
    dist.init_process_group("nccl", meeting, rank=rank, world_size=2, device_id=device)
    first = rank == 0
    rows = slice(None, SPLIT) if first else slice(SPLIT, None)
    classes = slice(None, CLASSES_OF_FIRST) if first else slice(CLASSES_OF_FIRST, None)
    group = dist.group.WORLD
    found = {"kmeans": cluster(rank, rows, group), "loss": loss(rank, classes, group)}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def parts():
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, (folder,), nprocs=2)
        yield [torch.load(Path(folder, f"{rank}.pt")) for rank in range(2)]


def test_kmeans_of_two_devices_is_that_of_one(parts):
    whole = cluster(0, slice(None))
    first, second = (part["kmeans"] for part in parts)
    assert whole["n_iter"] > 3
    for part in (first, second):
        assert torch.equal(part["centers"], whole["centers"])
        assert torch.equal(part["inertia"], whole["inertia"])
        assert torch.equal(part["n_iter"], whole["n_iter"])
    assert torch.equal(torch.cat([first["labels"], second["labels"]]), whole["labels"])


def test_a_head_on_two_devices_is_that_of_one(parts):
    whole = loss(0, slice(None))
    first, second = (part["loss"] for part in parts)
    assert torch.equal(first["loss"], second["loss"])
    assert torch.equal(first["hidden"], second["hidden"])
    torch.testing.assert_close(first["loss"], whole["loss"], rtol=1e-5, atol=0.0)
    both = torch.cat([first["head"], second["head"]])
    for split, expected in ((first["hidden"], whole["hidden"]), (both, whole["head"])):
        # Sums in another order may tip the rounding to bfloat16, or what cancels in them.
        atol = 2**-9 * float(expected.abs().max())
        torch.testing.assert_close(split, expected, rtol=2**-7, atol=atol)
