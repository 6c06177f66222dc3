"""Who is measured when: blocks in which everybody runs twice, the second time in reverse order."""

import random
from collections.abc import Sequence

from onetrip.lab.judge.paired import ENOUGH_BLOCKS


def block_order(names: Sequence[str], draw: random.Random) -> list[str]:
    """One block: a random order and its mirror image, ABBA for two.

    A drift that is linear over the block meets all alike.

    >>> order = block_order(["candidate", "eager"], random.Random(0))
    >>> order == order[::-1], sorted(set(order))
    (True, ['candidate', 'eager'])
    """
    once = list(names)
    draw.shuffle(once)
    return once + once[::-1]


def blocks_wanted(purpose: str) -> int:
    """How many blocks, time permitting: a confirmation takes thirty samples a side and more.

    >>> blocks_wanted("confirm"), blocks_wanted("search")
    (16, 6)
    """
    return 16 if purpose == "confirm" else ENOUGH_BLOCKS
