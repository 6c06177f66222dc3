"""Serve the page: on this machine only, unless somebody means it otherwise."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.store.database import connect
from onetrip.lab.web.app import create_app
from onetrip.lab.web.listen import listen
from onetrip.lab.web.sampler import Sampler
from onetrip.lab.web.security import LOOPBACK_HOSTS
from onetrip.lab.web.session_token import kept_secret
from onetrip.lab.work.reaper import reaping

# Streams end at once when the server stops; other answers take milliseconds.
_LAST_ANSWERS_S = 3
_STARTS_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is; `with_token` opens it, `secret` is the token alone."""

    url: str
    secret: str

    @property
    def with_token(self) -> str:
        """What to open in a browser."""
        return f"{self.url}/?token={self.secret}"


def serve(
    database: Path,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    allow_remote: bool = False,
    allowed_hosts: Iterable[str] = (),
    read_only: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Serve until interrupted; say the address, with its token, once.

    Parameters
    ----------
    database : the lab's SQLite file; the token is kept beside it.
    port : 0 takes a free one.
    host : address to listen on. One that others can reach needs `allow_remote`.
    allowed_hosts : further names under which browsers may ask for the page.
    read_only : show everything, take nothing: neither writes nor proposals nor answers of workers.
    say : takes the lines for the person who started it.

    Raises
    ------
    ArgumentError
        The port is taken; `host` reaches beyond this machine without `allow_remote`, or is all
        addresses at once and no name is allowed.
    """
    hosts = _hosts(host, allow_remote, tuple(allowed_hosts))
    with closing(listen(host, port)) as listener:
        server, address = _server(database, listener, host, hosts, read_only)
        say(f"The lab's page: {address.with_token}")
        say("Ctrl-C ends it. The token is a key to this lab: keep it to yourself.")
        # The server ends in good order and then passes the interruption on.
        lost = nullcontext() if read_only else reaping(database)
        with suppress(KeyboardInterrupt), lost:
            server.run(sockets=[listener])


@contextmanager
def serving(database: Path, *, port: int = 0, read_only: bool = False) -> Iterator[Address]:
    """Serve on this machine, in a thread, for as long as the block lasts."""
    with closing(listen("127.0.0.1", port)) as listener:
        server, address = _server(database, listener, "127.0.0.1", LOOPBACK_HOSTS, read_only)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="onetrip-page", daemon=True
        )
        thread.start()
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """Ends the open streams first: a stop would wait for them otherwise."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.frame.tail.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def _server(
    database: Path, listener: socket.socket, host: str, hosts: tuple[str, ...], read_only: bool
) -> tuple[_Server, Address]:
    # Made, or migrated, before two threads try to.
    connect(database).close()
    secret = kept_secret(database)
    config = uvicorn.Config(
        _whole_app(database, secret, hosts, read_only),
        log_level="warning",
        # It would write the token of the first request.
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )
    name = f"[{host}]" if ":" in host else host
    return _Server(config), Address(f"http://{name}:{listener.getsockname()[1]}", secret)


def _whole_app(database: Path, secret: str, hosts: tuple[str, ...], read_only: bool) -> FastAPI:
    """The page with, unless it only shows, the agents' and the workers' ways in."""
    if read_only:
        return create_app(database, token=secret, allowed_hosts=hosts, read_only=True)
    from onetrip.lab.mcp.http import http_app
    from onetrip.lab.work.api import PATH, work_app

    return create_app(
        database,
        token=secret,
        allowed_hosts=hosts,
        sampler=Sampler(database),
        mounts={PATH: work_app(database)},
        joined=[http_app(database)],
    )


def _hosts(host: str, allow_remote: bool, allowed: tuple[str, ...]) -> tuple[str, ...]:
    if _is_loopback(host):
        return (*LOOPBACK_HOSTS, *allowed)
    if not allow_remote:
        way_out = (
            "The page runs code: reach it over an SSH tunnel (ssh -L 8421:127.0.0.1:8421 …), "
            "or add --allow-remote when the network is yours."
        )
        expected = "an address of this machine only, such as 127.0.0.1"
        raise ArgumentError(complaint("host", expected=expected, got=host, way_out=way_out))
    if not _is_wildcard(host):
        return (f"[{host}]" if ":" in host else host, *allowed)
    if not allowed:
        way_out = "Name those that browsers will use: --allow-host NAME. All others are refused."
        expected = f"at least one name when listening on {host}"
        raise ArgumentError(
            complaint("allowed_hosts", expected=expected, got="none", way_out=way_out)
        )
    return (*LOOPBACK_HOSTS, *allowed)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
