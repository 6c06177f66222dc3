"""Build the page's application: the gate, the pages, the stream of events, static files."""

import importlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response

from onetrip.core.errors import OnetripError
from onetrip.lab.web import live
from onetrip.lab.web.frame import STATIC_DIR, Frame
from onetrip.lab.web.pages import PAGES
from onetrip.lab.web.render import problem_page
from onetrip.lab.web.sampler import Sampler
from onetrip.lab.web.security import LOOPBACK_HOSTS, Gate
from onetrip.lab.web.session_token import Keys


def create_app(
    database: Path,
    *,
    token: str,
    allowed_hosts: Iterable[str] = LOOPBACK_HOSTS,
    read_only: bool = False,
    sampler: Sampler | None = None,
    mounts: Mapping[str, Starlette] | None = None,
    joined: Sequence[Starlette] = (),
) -> FastAPI:
    """The lab's page over `database`.

    Parameters
    ----------
    database : the lab's SQLite file.
    token : the secret that opens everything; tokens of lesser scope follow from it.
    allowed_hosts : names that the Host header may have, without port.
    read_only : refuse every write.
    sampler : looks at the machine once a second; started and stopped with the application.
    mounts : applications to put behind the same gate, by the path below which they answer.
    joined : applications whose routes, with their own whole paths, become this one's.
    """
    mounts = mounts or {}
    others = (*mounts.values(), *joined)
    frame = Frame(database, Keys(token), read_only=read_only, sampler=sampler)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if sampler is not None:
                stack.enter_context(sampler.running())
            # Nobody else tells them of start and end.
            for other in others:
                await stack.enter_async_context(other.router.lifespan_context(other))
            await stack.enter_async_context(frame.tail.running())
            yield

    app = FastAPI(
        title="onetrip lab", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.frame = frame
    app.add_middleware(
        Gate,
        keys=frame.keys,
        allowed_hosts=allowed_hosts,
        database=database,
        read_only=read_only,
    )
    app.mount("/static", StaticFiles(directory=STATIC_DIR), name="static")
    for page in PAGES:
        app.include_router(importlib.import_module(page.module).router)
    app.include_router(live.router)
    for path, mounted in mounts.items():
        mounted.add_exception_handler(OnetripError, _user_error)
        app.mount(path, mounted)
    for other in joined:
        app.router.routes.extend(other.routes)
    app.add_exception_handler(OnetripError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    return app


def _user_error(request: Request, error: Exception) -> Response:
    return _answer(request, HTTPStatus.BAD_REQUEST, str(error))


def _invalid(request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    # What was sent is not sent back: it may be large.
    text = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in problems)
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, text)


def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _answer(request, HTTPStatus(error.status_code), str(error.detail))


def _answer(request: Request, status: HTTPStatus, text: str) -> Response:
    wants_page = "text/html" in request.headers.get("accept", "")
    # A missing static file is answered to anybody, a page only to whom the gate let in; and a
    # mounted application has none.
    ours = "onetrip.scope" in request.scope and hasattr(request.app.state, "frame")
    if wants_page and ours and "hx-request" not in request.headers:
        return problem_page(request, status, text)
    body = json.dumps({"error": text})
    return Response(body, status, media_type="application/json")
