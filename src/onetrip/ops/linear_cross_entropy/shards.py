"""The vocabulary split over a process group: who holds which classes, and how statistics meet."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from onetrip.ops.linear_cross_entropy.rows import Partials


@dataclass(frozen=True, slots=True)
class Shard:
    """This process's classes [start, start + V) of `total`, and the group that holds the rest.

    `group` is a process group's name, or "" where one process holds the whole head: a name, and
    not the group itself, can pass through an operator that the compiler sees.
    """

    group: str
    start: int
    total: int

    def reduce(self, tensor: Tensor) -> None:
        """Sum `tensor` over the group, in place."""
        dist.all_reduce(tensor, group=process_group(self.group))

    def gather(self, parts: Partials) -> Partials:
        """Put every process's merged statistics side by side, [world, N]."""
        group = process_group(self.group)
        world = dist.get_world_size(group)

        def all_of(tensor: Tensor | None, offset: int = 0) -> Tensor | None:
            if tensor is None:
                return None
            gathered = [torch.empty_like(tensor) for _ in range(world)]
            dist.all_gather(gathered, (tensor + offset).contiguous(), group=group)
            return torch.cat(gathered)

        maximum, total = all_of(parts.maximum), all_of(parts.total)
        if maximum is None or total is None:
            raise RuntimeError("partial statistics always hold a maximum and a sum")
        return Partials(
            maximum=maximum,
            total=total,
            gap=all_of(parts.gap),
            linear=all_of(parts.linear),
            best=all_of(parts.best),
            best_at=all_of(parts.best_at, offset=self.start),
        )


def process_group(name: str) -> dist.ProcessGroup:
    """The group that has this name."""
    resolve: Any = getattr(dist.distributed_c10d, "_resolve_process_group")  # noqa: B009
    return resolve(name)


# Kept by head, not by size: ranks may differ in size, and all of them must agree whether to ask.
_known = WeakTensorKeyDictionary()


def find_shard(name: str, weight: Tensor) -> Shard:
    """Ask the group how many classes each process holds; they are in rank order.

    The first call of a head exchanges the sizes and waits for them; later ones remember.
    """
    V = weight.shape[0]
    if not name:
        return Shard("", 0, V)
    known: Any = _known.setdefault(weight, {})
    if (name, V) not in known:
        group = process_group(name)
        mine = torch.tensor([V], device=weight.device)
        sizes = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
        dist.all_gather(sizes, mine, group=group)
        counts = torch.cat(sizes).tolist()
        known[name, V] = Shard(name, sum(counts[: dist.get_rank(group)]), sum(counts))
    return known[name, V]
