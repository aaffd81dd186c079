"""The internal port of a process: `/metrics` for Prometheus, `/healthz` and `/readyz` for Kubernetes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.values.errors import Refused
from shared.version import __version__

log = structlog.get_logger()

AT_ONCE = 64  # connections, beyond which requests are refused
HEAD_BYTES = 16384

Ready = Callable[[], Awaitable[str | None]]
"""Raises Refused with the reason while the process cannot serve. Returns what is worth a sentence although it does."""


async def healthz(_request: Request) -> Response:
    """The process is alive."""
    return JSONResponse({"status": "ok", "version": __version__})


def readyz(ready: Ready) -> Callable[[Request], Awaitable[Response]]:
    """Status 200 when the process can serve, else 503 with the reason. `notice` is what to look after although it serves."""

    async def answer(_request: Request) -> Response:
        try:
            notice = await ready()
        except Refused as refused:
            return JSONResponse({"status": "unavailable", "reason": refused.message}, status_code=503)
        return JSONResponse({"status": "ok", "version": __version__} | ({"notice": notice} if notice else {}))

    return answer


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises OSError when the address is taken, or none of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Name the protocol: asyncio sets TCP_NODELAY only then. Without it a small write waits for the one before it.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


class EmbeddedServer(uvicorn.Server):
    """uvicorn inside a process that handles signals itself."""

    async def run_on(self, listening: socket.socket) -> None:
        """Serve until `should_exit`. Signals are left alone, unlike in `serve`."""
        await self._serve([listening])


class OpsServer:
    """Serves the internal port."""

    def __init__(self, host: str, port: int, ready: Ready) -> None:
        routes = [Route("/metrics", _metrics), Route("/healthz", healthz), Route("/readyz", readyz(ready))]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",  # reads a request when the one before it is answered; httptools parses all that has come
            h11_max_incomplete_event_size=HEAD_BYTES,
            limit_concurrency=AT_ONCE,
        )
        self._server = EmbeddedServer(config)
        self._socket = listen(host, port)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve in the background."""
        self._task = asyncio.create_task(self._server.run_on(self._socket), name="ops")
        host, port = self._socket.getsockname()[:2]
        log.info("internal port", metrics=f"http://{host}:{port}/metrics")

    async def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
