"""One process of the tests of heads split over a group: runs every case, saves what it got."""

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from three_paths import draw

import onetrip

V = 152
CLASS_WEIGHT = torch.linspace(0.25, 1.5, V)
AUX = ("logprob", "lse", "entropy", "argmax")
EVERYTHING = {
    "softcap": 4.0,
    "logit_scale": 1.5,
    "z_loss": 0.1,
    "label_smoothing": 0.1,
    "weight": CLASS_WEIGHT,
    "aux": AUX,
}
# name -> how the classes are split, options
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "equal": ("equal", {"impl": "torch"}),
    "unequal": ("unequal", {"impl": "torch"}),
    "unequal-everything": ("unequal", {"impl": "torch", **EVERYTHING}),
    "equal-none": ("equal", {"impl": "torch", "reduction": "none", "aux": ("argmax",)}),
    "tight": ("equal", {"impl": "torch", "memory_budget": 40_000}),
    "triton": ("unequal", {"impl": "triton"}),
    "triton-everything": ("unequal", {"impl": "triton", **EVERYTHING}),
    "triton-kept": ("unequal", {"impl": "triton", "memory_budget": 1 << 22}),
    # After "unequal": the first process holds as many classes as there, the last fewer.
    "narrow": ("narrow", {"impl": "torch"}),
    "dtensor": ("dtensor", {"impl": "torch"}),
}


def sizes_of(split: str, world: int) -> list[int]:
    """Classes of each process."""
    if split in ("equal", "dtensor"):
        return [V // world] * world
    *others, last = [100, 52] if world == 2 else [76, 1, 45, 30]
    return [*others, last if split == "unequal" else last - 20]


def problem(split: str = "equal") -> dict[str, Any]:
    """The whole problem; the smallest of two equal largest logits lies on the first process."""
    tensors = draw(20, 8, V)
    tensors["linear_weight"][[3, 151]] = tensors["input"][1] * 3
    tensors["linear_bias"][[3, 151]] = 0.0
    if split == "narrow":
        total = sum(sizes_of(split, 2))
        tensors["target"].clamp_(max=total - 1)
        for name in ("linear_weight", "linear_bias"):
            tensors[name] = tensors[name][:total]
    return tensors


def call(tensors: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Loss, values and gradients, all on the tensors as given."""
    leaves = {
        name: tensor.detach().requires_grad_()
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
    }
    result = onetrip.linear_cross_entropy(**{**tensors, **leaves}, **options)
    loss, values = result if isinstance(result, tuple) else (result, {})
    total = 1.5 * loss.sum() + sum(values[name].sum() for name in values if name != "argmax")
    total.backward()
    gradients = {f"gradient of {name}": leaf.grad for name, leaf in leaves.items()}
    return {"loss": loss.detach(), **{k: v.detach() for k, v in values.items()}, **gradients}


def split_call(case: str, rank: int, world: int, mesh: Any) -> dict[str, Any]:
    """One case on this process's part of the head."""
    split, options = CASES[case]
    tensors: dict[str, Any] = problem(split)
    if split == "dtensor":
        from torch.distributed.tensor import DTensor, Shard, distribute_tensor

        for name in ("linear_weight", "linear_bias"):
            tensors[name] = distribute_tensor(tensors[name], mesh, [Shard(0)])
        got = call(tensors, options)
        for name in ("linear_weight", "linear_bias"):
            gradient = got[f"gradient of {name}"]
            if not isinstance(gradient, DTensor) or gradient.placements != (Shard(0),):
                raise TypeError(f"gradient of {name} is {type(gradient)}")
            got[f"gradient of {name}"] = gradient.to_local()
        return got
    return call(part_of(tensors, split, rank, world), {**options, "group": dist.group.WORLD})


def part_of(tensors: dict[str, Any], split: str, rank: int, world: int) -> dict[str, Any]:
    """The problem with this process's rows of the head."""
    sizes = sizes_of(split, world)
    mine = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    return {k: v[mine] if k.startswith("linear") else v for k, v in tensors.items()}


def refusals(rank: int, world: int) -> dict[str, str]:
    """What a bad call says on this process; every process must say it, or the others wait."""
    tensors = part_of(problem(), "equal", rank, world)
    tensors["target"][2] = V * 7
    said = {}
    for name, options in {
        "target": {"impl": "torch"},
        "reference": {"impl": "reference"},
        "weight": {"weight": torch.ones(3), "label_smoothing": 0.1, "impl": "torch"},
    }.items():
        if name != "target":
            tensors["target"][2] = 0
        try:
            onetrip.linear_cross_entropy(**tensors, **options, group=dist.group.WORLD)
        except ValueError as error:
            said[name] = str(error)
    return said


def run(rank: int, world: int, folder: str) -> None:
    """Run all cases and save them."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=world,
        timeout=timedelta(minutes=1),
    )
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (world,))
    names = [name for name in CASES if world == 2 or not name.startswith("triton")]
    results: dict[str, Any] = {case: split_call(case, rank, world, mesh) for case in names}
    results["refusals"] = refusals(rank, world)
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
