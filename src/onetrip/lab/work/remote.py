"""A worker that pulls from a lab elsewhere: over HTTP, with a token of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import httpx

from onetrip.core.errors import ArgumentError, OnetripError, complaint
from onetrip.lab.judge.machine import Machine, machine
from onetrip.lab.queue.device_lock import devices_held
from onetrip.lab.work.api import PATH
from onetrip.lab.work.bundle import Bundle, unpack
from onetrip.lab.work.loop import Condition, given_back, never
from onetrip.lab.work.pulse import Pulse
from onetrip.lab.work.tasks import Task, task_from
from onetrip.lab.work.trial import Judge, KeptJudge

_POLL_S = 1.0
_TIMEOUT_S = 30.0
# A lab that restarts, or a tunnel that breaks, is waited for this long.
_PATIENCE_S = 120.0

Say = Callable[[str], object]


def silent(text: str) -> None:
    """Say nothing."""


class Lab:
    """The lab as a worker reaches it; waits out what a network does, and says that it waits."""

    def __init__(
        self, server: str, token: str, *, patience_s: float = _PATIENCE_S, say: Say = silent
    ) -> None:
        if not server.startswith(("http://", "https://")):
            expected = "the address of a lab, http://127.0.0.1:8421 for one"
            raise ArgumentError(complaint("server", expected=expected, got=repr(server)))
        self._patience_s = patience_s
        self._say = say
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
        told = False
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
            if not told:
                told = True
                self._say(f"The lab does not answer ({problem}); trying again for a while.")
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
    say: Say = silent,
) -> int:
    """Answer a lab's experiments here until `until()` holds; return how many.

    Parameters
    ----------
    server : address of `onetrip lab serve`, most often the near end of an SSH tunnel.
    token : the worker's own, from `onetrip lab worker add NAME`.
    devices : tried in turn; one experiment at a time.
    folder : where the files of problems are kept.
    machines : what the devices are; measured here by default.
    say : takes a line when the lab is joined, when a task comes, when it is answered.
    """
    lab = Lab(server, token, patience_s=patience_s, say=say)
    if machines is None:
        say(f"Looking at what {', '.join(devices)} can do.")
        machines = {device: machine(device) for device in devices}
    answered = 0
    kept = KeptJudge()
    try:
        lab.post("join", {"machines": {name: found.as_dict() for name, found in machines.items()}})
        say(f"Joined {server} with {', '.join(devices)}; Ctrl-C ends it.")
        while not until():
            # A list: every device is asked, even where the first had a task.
            taken = [
                _step_alone(lab, device, folder, until, judge or kept, say) for device in devices
            ]
            answered += sum(taken)
            if not any(taken):
                time.sleep(_POLL_S)
    finally:
        kept.close()
        lab.close()
    return answered


def _step_alone(
    lab: Lab, device: str, folder: Path, until: Condition, judge: Judge, say: Say
) -> bool:
    """One task, with the device to ourselves: a tune of this machine would be timed with us."""
    with devices_held((device,), "onetrip lab worker", should_stop=until) as waited_s:
        return waited_s is not None and _step(lab, device, folder, until, judge, say)


def _step(lab: Lab, device: str, folder: Path, until: Condition, judge: Judge, say: Say) -> bool:
    document = lab.post("claim", {"device": device})
    if document is None:
        return False
    task: Task = task_from(document["task"])
    say(f"#{task.experiment_id} {task.title} started on {device}")
    problem = unpack(task.job.problem, Bundle(**document["bundle"]), folder)
    numbers = {"attempt_id": task.attempt_id, "n": task.n}

    def beat(stage: str) -> bool:
        answer = lab.post("heartbeat", numbers | {"stage": stage[:200]})
        return bool(answer and answer["ours"])

    with Pulse(nullcontext(beat)) as pulse:
        verdict = judge(
            replace(task.job, problem=problem),
            pulse.stage,
            lambda pid, started: None,
            lambda: pulse.lost or until(),
        )
    verdict = given_back(verdict) if until() else verdict
    lab.post("finish", numbers | {"verdict": verdict.as_dict()})
    say(f"#{task.experiment_id} {task.title}: {verdict.outcome.value}")
    return True


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status_code}"
