"""The question every `select.py` answers: may it run here, and which is fastest?

An operator's `select.py` defines, with neither torch nor triton:

- ``unsupported_reason(impl, problem, config=None) -> str | None``: None when it may run;
- ``choose(problem) -> Choice``: what ``impl="auto"`` runs, and why;
- ``default_config(impl, problem) -> Config``: what a named implementation runs;
- ``search_space(impl, problem) -> Mapping[str, tuple[int, ...]]``: what `onetrip tune` tries;
- ``workspace_bytes(impl, problem, config) -> int``: memory beyond inputs, outputs, gradients, at
  most; where most calls take less, ``expected_bytes(impl, problem, config, backward)`` says what;
- ``predict_ms(impl, problem, device, config, backward) -> float``: latency from the device's
  ceilings, without running anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from onetrip.core.device import short_name
from onetrip.core.errors import UnsupportedError
from onetrip.core.spec import EMPTY

Config = Mapping[str, int]
# What is said in place of a time that no result on a device backs.
FLOOR_ONLY = "floor only"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem on one kind of device.

    `device_kind` is torch's device type ("cpu", "cuda"; ROCm reports "cuda" with `hip` set);
    `arch` is 90 for sm_90 and 942 for gfx942, 0 on a CPU; `device_name` is the key of
    `core.device.DEVICES` or the name that the driver reports; `options` are the keyword
    arguments that change the work.
    """

    axes: Mapping[str, int]
    dtype: str
    device_kind: str = "cpu"
    arch: int = 0
    hip: bool = False
    device_name: str = "cpu"
    options: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs: the implementation, its configuration, and the evidence for it."""

    impl: str
    config: Config
    why: str
    evidence: str = ""

    @property
    def has_floor_only(self) -> bool:
        """Whether no result on this device backs a prediction."""
        return FLOOR_ONLY in self.why


class Select(Protocol):
    """An operator's `select.py`, as far as a call asks it."""

    def unsupported_reason(
        self, impl: str, problem: Problem, config: Config | None = None, /
    ) -> str | None:
        """None when `impl` may run."""
        ...

    def default_config(self, impl: str, problem: Problem, /) -> Config:
        """What a named implementation runs."""
        ...

    def choose(self, problem: Problem, /) -> Choice:
        """What ``impl="auto"`` runs."""
        ...


def unmeasured(problem: Problem, *devices: str) -> str:
    """Words for the end of a reason where no result backs it: "" on a CPU and on `devices`.

    >>> import dataclasses
    >>> problem = Problem({}, "float32", "cuda", 90, False, "NVIDIA H100 80GB HBM3")
    >>> unmeasured(problem, "h100")
    ''
    >>> unmeasured(dataclasses.replace(problem, device_name="a100"), "h100")
    '; floor only: not measured on this device'
    """
    if problem.device_kind == "cpu" or short_name(problem.device_name) in devices:
        return ""
    return f"; {FLOOR_ONLY}: not measured on this device"


def resolve(operator: str, select: Select, impl: str, problem: Problem) -> tuple[str, Config]:
    """The implementation and configuration that run; a named one runs or raises.

    Raises
    ------
    UnsupportedError
        `impl` cannot run `problem`, or with "auto", nothing can; the message says why.
    """
    config: Config | None = None
    chosen = impl
    if impl == "auto":
        choice = select.choose(problem)
        chosen, config = choice.impl, choice.config
    reason = select.unsupported_reason(chosen, problem)
    if reason is not None:
        way_out = "" if impl == "auto" else ' Use impl="auto" to run the fastest that can.'
        raise UnsupportedError(f'`impl="{impl}"` cannot run {operator} here: {reason}.{way_out}')
    return chosen, select.default_config(impl, problem) if config is None else config
