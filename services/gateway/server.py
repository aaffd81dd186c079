"""The gateway's one port: WebSockets and REST by uvicorn, and the sessions of its connections."""

import asyncio
import contextlib
import random
import socket
import ssl
from http import HTTPStatus

import uvicorn
from starlette.types import ASGIApp

from services.gateway import metrics
from services.gateway.context import GatewayContext
from services.gateway.drain import drain
from services.gateway.features import FEATURES
from services.gateway.session.dispatcher import Dispatcher
from services.gateway.session.heartbeat import Heartbeat
from services.gateway.session.session import Session
from services.gateway.settings import GatewaySettings
from services.gateway.transport import descriptors
from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.connection import Connection
from services.gateway.transport.guard import Guard
from services.gateway.transport.handshake import Rejection
from services.gateway.transport.outbox import OutboxTotal
from services.gateway.transport.public_server import PublicServer

BACKLOG = 2048
ENDING_SECONDS = 0.05  # for cancelled requests to end; only then rooms is told that a connection is gone
FAREWELL_SECONDS = 3.0  # at the end, for telling rooms whose connections are gone


class GatewayServer:
    """Listens, makes a session for every connection, and ends all sessions when told to stop."""

    def __init__(
        self, context: GatewayContext, app: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None = None
    ) -> None:
        self.settings: GatewaySettings = context.settings
        self.outboxes = OutboxTotal(context.settings.outboxes_bytes)
        self.context = context
        self._dispatcher = Dispatcher(FEATURES)
        self._sessions: dict[Connection, Session] = {}
        self.guard = Guard(
            context.settings, context.ticks, descriptors.for_connections(context.settings.reserved_descriptors)
        )
        self._socket = listening
        self._stopping = False
        self._heartbeat = Heartbeat(self._sessions.values, context.settings, context.clock)
        self._tasks: list[asyncio.Task[None]] = []
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # URLs may hold what does not belong in a log
            lifespan="off",
            ws="none",  # HttpPort knows what to do with an upgrade
            server_header=False,
            proxy_headers=False,  # our setting `trusted_proxies` says which proxies to believe
            backlog=BACKLOG,
            timeout_graceful_shutdown=2,
        )
        self._uvicorn = PublicServer(config, self.guard, lambda arrival: Connection(self, arrival), tls)

    # -- Host of the connections ---------------------------------------------------------------------------------------

    def admit(self, address: str, arrival: Arrival) -> Rejection | None:
        """Let a connection be a WebSocket, or reject it. One that came through a proxy counts for its client from now on."""
        if self._stopping:
            return Rejection(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway is shutting down")
        if arrival.over or not self.guard.arrivals.stands_for(arrival, self.guard.network(address)):
            return Rejection(HTTPStatus.TOO_MANY_REQUESTS, "too many connections from your address")
        return None

    def opened(self, connection: Connection) -> Session:
        """The handshake is done: make the session."""
        session = self._sessions[connection] = Session(self.context, self._dispatcher, connection)
        # Spread the pings: ten thousand clients that connected at once must not be pinged at once for ever.
        connection.next_ping = connection.opened_at + random.uniform(0.5, 1) * self.settings.ping_seconds  # noqa: S311
        metrics.CONNECTIONS.set(len(self._sessions))
        return session

    def gone(self, connection: Connection) -> None:
        """An admitted connection is gone."""
        self._sessions.pop(connection, None)
        metrics.CONNECTIONS.set(len(self._sessions))

    async def check(self) -> None:
        """For readiness: raises Refused without a lease."""
        await self.context.lease.check()

    # -- life ----------------------------------------------------------------------------------------------------------

    def url(self) -> str:
        """The URL on which this gateway listens."""
        return url_of(self._socket, self.settings.scheme)

    async def start(self) -> None:
        """Serve in the background. Waits for the port, and at most `request_timeout` for the lease."""
        context = self.context
        context.lease.lost = self._fence
        self._tasks = [
            asyncio.create_task(self._uvicorn.run_on(self._socket), name="port"),
            asyncio.create_task(context.lease.run(), name="lease"),
            asyncio.create_task(self._heartbeat.run(), name="heartbeat"),
            asyncio.create_task(context.feeds.compare(), name="compare"),
            asyncio.create_task(context.reserve.run(), name="reserve"),
        ]
        while not self._uvicorn.started:
            await asyncio.sleep(0.005)
        with contextlib.suppress(TimeoutError):  # without a lease yet, clients are told `unavailable`
            async with asyncio.timeout(self.settings.request_timeout):
                await context.lease.acquired()

    def _fence(self) -> None:
        """The lease is lost: end every session here without speaking for its participants."""
        for session in list(self._sessions.values()):
            session.fence()

    async def stop(self, seconds: float) -> None:
        """Drain: accept no new connections, and send all clients to other gateways over `seconds`. Then stop serving."""
        self._stopping = True
        await drain(self._sessions.values, seconds)
        for connection in list(self._sessions):
            connection.abort()
        await asyncio.sleep(ENDING_SECONDS)
        await self.context.departures.finish(FAREWELL_SECONDS)
        self._uvicorn.should_exit = True
        port, *others = self._tasks
        for task in others:
            task.cancel()
        await self.context.lease.end()
        with contextlib.suppress(asyncio.CancelledError):
            await port


def url_of(listening: socket.socket, scheme: str) -> str:
    """The URL of a listening socket. One that listens on all addresses gets the loopback address."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
