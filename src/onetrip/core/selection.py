"""The question every `select.py` answers: may it run here, and which is fastest?

An operator's `select.py` defines, with neither torch nor triton:

- ``unsupported_reason(impl, problem, config=None) -> str | None``: None when it may run;
- ``choose(problem) -> Choice``: what ``impl="auto"`` runs, and why;
- ``default_config(impl, problem) -> Config``: what a named implementation runs;
- ``search_space(impl, problem) -> Mapping[str, tuple[int, ...]]``: what `onetrip tune` tries;
- ``workspace_bytes(impl, problem, config) -> int``: memory beyond inputs, outputs, gradients;
- ``predict_ms(impl, problem, device, config, backward) -> float``: latency from the device's
  ceilings, without running anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from onetrip.core.spec import EMPTY

Config = Mapping[str, int]


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
