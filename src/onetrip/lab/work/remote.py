"""A worker that pulls from a lab elsewhere: over HTTP, with a token of its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from onetrip.core.errors import OnetripError
from onetrip.lab.judge.machine import Machine, machine
from onetrip.lab.queue.device_lock import devices_held
from onetrip.lab.work.api import PATH
from onetrip.lab.work.bundle import unpack
from onetrip.lab.work.loop import Condition, given_back, never
from onetrip.lab.work.pulse import Pulse
from onetrip.lab.work.tasks import Task, task_from
from onetrip.lab.work.trial import Judge, KeptJudge

_POLL_S = 1.0
_TIMEOUT_S = 30.0
# A lab that restarts, or a tunnel that breaks, is waited for this long.
_PATIENCE_S = 120.0


class Lab:
    """The lab as a worker reaches it; waits out what a network does."""

    def __init__(self, server: str, token: str, *, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._client = httpx.Client(
            base_url=server.rstrip("/") + PATH,
            headers={"authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            # A proxy of the environment has no business between a worker and its lab.
            trust_env=False,
        )

    def post(self, what: str, document: Mapping[str, object]) -> dict | None:
        """Send one request; None for "nothing there".

        Raises
        ------
        OnetripError
            The lab refused, or did not answer for two minutes.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                response = self._client.post(f"/{what}", json=dict(document))
                if response.status_code < 500:
                    break
                problem = f"it answered {response.status_code}"
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                raise OnetripError(
                    f"The lab at {self._client.base_url.host} cannot be reached: {problem}. Is "
                    "`onetrip lab serve` running there, and the tunnel open?"
                )
            time.sleep(_POLL_S)
        if response.status_code == 204:
            return None
        if response.status_code >= 400:
            raise OnetripError(f"The lab refused: {_reason(response)}")
        return response.json()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def work_remotely(
    server: str,
    token: str,
    *,
    devices: Sequence[str] = ("cpu",),
    folder: Path,
    until: Condition = never,
    judge: Judge | None = None,
    machines: Mapping[str, Machine] | None = None,
    patience_s: float = _PATIENCE_S,
) -> int:
    """Answer a lab's experiments here until `until()` holds; return how many.

    Parameters
    ----------
    server : address of `onetrip lab serve`, most often the near end of an SSH tunnel.
    token : the worker's own, from `onetrip lab worker add NAME`.
    devices : tried in turn; one experiment at a time.
    folder : where the files of problems are kept.
    machines : what the devices are; measured here by default.
    """
    machines = machines or {device: machine(device) for device in devices}
    lab = Lab(server, token, patience_s=patience_s)
    answered = 0
    kept = KeptJudge()
    try:
        lab.post("join", {"machines": {name: found.as_dict() for name, found in machines.items()}})
        while not until():
            # A list: every device is asked, even where the first had a task.
            taken = [_step_alone(lab, device, folder, until, judge or kept) for device in devices]
            answered += sum(taken)
            if not any(taken):
                time.sleep(_POLL_S)
    finally:
        kept.close()
        lab.close()
    return answered


def _step_alone(lab: Lab, device: str, folder: Path, until: Condition, judge: Judge) -> bool:
    """One task, with the device to ourselves: a tune of this machine would be timed with us."""
    with devices_held((device,), "onetrip lab worker", should_stop=until) as waited_s:
        return waited_s is not None and _step(lab, device, folder, until, judge)


def _step(lab: Lab, device: str, folder: Path, until: Condition, judge: Judge) -> bool:
    document = lab.post("claim", {"device": device})
    if document is None:
        return False
    task: Task = task_from(document["task"])
    problem = unpack(task.job.problem, document["files"], folder)
    numbers = {"attempt_id": task.attempt_id, "n": task.n}

    def beat(stage: str) -> bool:
        answer = lab.post("heartbeat", numbers | {"stage": stage[:200]})
        return bool(answer and answer["ours"])

    with Pulse(beat) as pulse:
        verdict = judge(
            replace(task.job, problem=problem),
            pulse.stage,
            lambda pid, started: None,
            lambda: pulse.lost or until(),
        )
    verdict = given_back(verdict) if until() else verdict
    lab.post("finish", numbers | {"verdict": verdict.as_dict()})
    return True


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status_code}"
