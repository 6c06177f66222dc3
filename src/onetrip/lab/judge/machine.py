"""What the machine is and how fast it can be: asked of a worker once, so that we load no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from onetrip.core.device import Device
from onetrip.core.errors import OnetripError
from onetrip.lab.judge.failure import Stage
from onetrip.lab.judge.process import WORKER, run_job

_LIMIT_S = 180.0
_CEILING_SECONDS = 0.5
_DTYPES = ("float32", "bfloat16", "float16", "float64")
_known: dict[str, "Machine"] = {}


@dataclass(frozen=True, slots=True)
class Machine:
    """A device with the ceilings measured now, and the environment block of its results."""

    device: Device
    environment: Mapping[str, object]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"device": self.device.as_dict(), "environment": dict(self.environment)}


def machine_from(document: Mapping) -> Machine:
    """The machine that `Machine.as_dict` wrote."""
    return Machine(Device(**document["device"]), document["environment"])


def machine(device: str, *, command: tuple[str, ...] = WORKER) -> Machine:
    """The machine as a worker sees it, measured at the first question of this process.

    Parameters
    ----------
    device : "cpu", "cuda:0".

    Raises
    ------
    OnetripError
        The worker could not use the device.
    """
    if device not in _known:
        job = {"task": "machine", "device": device, "seconds": _LIMIT_S}
        ended = run_job(job, seconds=_LIMIT_S, command=command)
        answer = ended.answer
        if answer is None or "device" not in answer:
            reason = ended.tail if answer is None else answer.get("reason")
            raise OnetripError(
                f"The device {device} cannot be used: {reason}. `onetrip doctor` says what it sees."
            )
        _known[device] = machine_from(answer)
    return _known[device]


def run(document: Mapping, stage: Stage) -> dict[str, object]:
    """Do the worker's task: answer with the device's ceilings and the environment."""
    from onetrip.bench.environment import environment
    from onetrip.bench.roofline import measure_ceilings

    device = str(document["device"])
    stage("measuring the device's ceilings")
    # Half precision on a CPU takes seconds to learn that it is slow.
    dtypes = ("float32", "float64") if device == "cpu" else _DTYPES
    ceilings = measure_ceilings(device, dtypes=dtypes, seconds_each=_CEILING_SECONDS)
    return Machine(ceilings, environment(device)).as_dict()
