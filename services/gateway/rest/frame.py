"""Middleware around every REST request: headers, measurement, no secret in the URL, and the answer when there is a bug."""

import time
import traceback

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.metrics import HTTP_SECONDS
from services.gateway.rest import problems
from services.gateway.transport.handshake import has_secret
from shared.values.errors import internal_error

log = structlog.get_logger()

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
FRAMES = 12


class Frame:
    """Adds headers to every answer, and measures its time. The outermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                labels = _method(scope), _path(scope), str(message["status"])
                HTTP_SECONDS.labels(*labels).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, with_headers)


class BugStop:
    """Logs a bug without anything of the request, and answers `internal`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            # Do not log the exception's text: it may quote the request, as a ValidationError does.
            frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
            where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
            what = {"method": _method(scope), "path": _path(scope), "error": type(error).__name__}
            log.error("request failed", **what, where=where)
            await problems.answer(internal_error())(scope, receive, send)


class UrlCheck:
    """Refuses a request with a secret in its URL, whatever its path is: URLs end up in logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        query = scope.get("query_string")
        if query and has_secret(query.decode("latin-1")):
            refused = problems.BadRequest("a token does not belong in a URL: send it as `Authorization: Bearer`")
            await problems.answer(refused)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _method(scope: Scope) -> str:
    """The method, or `other` for unknown ones, so that clients cannot make up labels of metrics."""
    return scope["method"] if scope["method"] in METHODS else "other"


def _path(scope: Scope) -> str:
    """The route's template, not the requested path."""
    return str(getattr(scope.get("route"), "path", "unknown"))
