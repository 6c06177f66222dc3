"""Named problems on which an operator is tested and measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from onetrip.core.spec import EMPTY

# Seconds, in any lane; runs in CI; worth timing on a device.
SMOKE = frozenset({"smoke", "cpu"})
CPU = frozenset({"cpu"})
BENCH = frozenset({"bench"})


@dataclass(frozen=True, slots=True)
class Workload:
    """One named problem.

    Parameters
    ----------
    name : unique within its operator.
    axes : letter -> size.
    dtype : dtype of the floating inputs.
    tags : `SMOKE`, `CPU` or `BENCH`.
    why : what this shape shows that others do not, and where it comes from.
    options : keyword arguments of the public function.
    optional_inputs : names of optional tensors that `make_inputs` must make.
    data : which generator of `reference.make_inputs` draws the values.
    """

    name: str
    axes: Mapping[str, int]
    dtype: str
    tags: frozenset[str]
    why: str
    options: Mapping[str, object] = field(default_factory=lambda: EMPTY)
    optional_inputs: tuple[str, ...] = ()
    data: str = "random"
