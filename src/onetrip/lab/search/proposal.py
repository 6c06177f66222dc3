"""A configuration to try, as a proposer of a tune says it."""

from dataclasses import dataclass

from onetrip.core.selection import Config


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration to try: who proposed it and why; `parent_id` is what it was made from."""

    impl: str
    config: Config
    proposer: str
    why: str
    parent_id: int | None = None
