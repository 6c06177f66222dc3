"""The MCP server over HTTP: behind the gate of the page, joined to it or alone."""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from onetrip.core.errors import require
from onetrip.lab.mcp.server import create_server
from onetrip.lab.store.database import connect
from onetrip.lab.web.listen import listen
from onetrip.lab.web.security import LOOPBACK_HOSTS, Gate
from onetrip.lab.web.session_token import Keys, Scope, kept_secret

PATH = "/mcp"


def http_app(database: Path, *, by: str | None = None) -> Starlette:
    """The application that answers at ``/mcp``, to stand behind the page's gate.

    The gate has looked at Host, Origin, token and size before a request comes here; the SDK's own
    check knows no token, and would need the same names of hosts a second time.
    """
    return create_server(database, by=by).streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )


def gated_app(
    database: Path,
    *,
    token: str,
    by: str | None = None,
    allowed_hosts: Iterable[str] = LOOPBACK_HOSTS,
) -> Gate:
    """The MCP server alone, with the gate of the page before it."""
    return Gate(
        http_app(database, by=by),
        keys=Keys(token),
        allowed_hosts=allowed_hosts,
        database=database,
        read_only=False,
    )


def serve_http(
    database: Path, *, port: int, by: str | None, say: Callable[[str], object] = print
) -> None:
    """Serve on this machine until Ctrl-C; say the address, and a token that can only propose.

    Raises
    ------
    ArgumentError
        The port is taken.
    """
    uvicorn = require("uvicorn", extra="lab", purpose="`onetrip lab mcp --http`")
    connect(database).close()
    secret = kept_secret(database)
    app = gated_app(database, token=secret, by=by)
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none")
    with closing(listen("127.0.0.1", port)) as listener:
        say(f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}")
        say(f"Authorization: Bearer {Keys(secret).token(Scope.PROPOSE)}")
        uvicorn.Server(config).run(sockets=[listener])
