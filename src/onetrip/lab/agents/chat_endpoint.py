"""One call of a chat endpoint that speaks the common "chat completions" form, with retries."""

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from onetrip.core.errors import ArgumentError, complaint, require
from onetrip.lab.agents.agent import AgentStopped

_WORTH_A_RETRY = (408, 409, 429, 500, 502, 503, 504)
_LONGEST_PAUSE_S = 30.0


class EndpointError(AgentStopped):
    """The endpoint did not answer, or not with a chat completion."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, and how many tokens it took."""

    text: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """An address, a model, and a key that is sent to no other host and never printed.

    Parameters
    ----------
    base_url : what stands before ``/chat/completions``; plain http only to this machine.
    retries : how often a call is repeated that was refused for a while, or got no answer.
    sleep : for tests.
    """

    base_url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 120.0
    retries: int = 3
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        address = urlsplit(self.base_url)
        if address.scheme == "https" or (address.scheme == "http" and _is_here(address.hostname)):
            return
        expected = "an https address, or http on this machine"
        way_out = "A key must not cross a network in the clear; open an SSH tunnel."
        raise ArgumentError(
            complaint("base_url", expected=expected, got=repr(self.base_url), way_out=way_out)
        )

    def ask(self, messages: list[dict[str, str]], max_tokens: int) -> Reply:
        """Send a conversation and return the reply.

        Raises
        ------
        EndpointError
            It refused, or gave no usable answer after all retries.
        """
        httpx = require("httpx", extra="lab", purpose="Asking a chat endpoint")
        body = {"model": self.model, "messages": messages, "max_tokens": max_tokens}
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        problem = ""
        # No proxy of the environment stands between: the key is for this host alone.
        with httpx.Client(timeout=self.timeout_s, trust_env=False) as client:
            for attempt in range(self.retries + 1):
                pause_s = min(_LONGEST_PAUSE_S, 2.0**attempt)
                try:
                    response = client.post(url, json=body, headers=headers)
                except httpx.TransportError as error:
                    problem = f"no answer ({error})"
                else:
                    if response.status_code == 200:
                        return _read(response)
                    problem = f"status {response.status_code}: {response.text[:300]}"
                    if response.status_code not in _WORTH_A_RETRY:
                        break
                    pause_s = _asked_for(response.headers, pause_s)
                if attempt < self.retries:
                    self.sleep(pause_s)
        raise EndpointError(f"The chat endpoint {self.base_url} failed: {problem}")


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _asked_for(headers: Mapping[str, str], otherwise_s: float) -> float:
    """How long the endpoint asks to be left alone, within reason."""
    wish = headers.get("retry-after", "")
    return min(_LONGEST_PAUSE_S, float(wish)) if wish.isdecimal() else otherwise_s


def _read(response: Any) -> Reply:
    try:
        document = response.json()
        text = document["choices"][0]["message"]["content"]
        usage = document.get("usage") or {}
        counts = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EndpointError(
            f"The chat endpoint's answer is not a chat completion with its usage ({error!r}): "
            f"{response.text[:300]}"
        ) from error
    if not isinstance(text, str):
        raise EndpointError("The chat endpoint's answer holds no text.")
    return Reply(text, *counts)
