"""A gateway without a port: the parts of `GatewayContext.compose`, with virtual sockets."""

import asyncio
from typing import cast

from services.gateway.context import GatewayContext
from services.gateway.drain import drain
from services.gateway.features import FEATURES
from services.gateway.server import ENDING_SECONDS, FAREWELL_SECONDS
from services.gateway.session.dispatcher import Dispatcher
from services.gateway.session.heartbeat import Heartbeat
from services.gateway.session.session import Session
from services.gateway.settings import GatewaySettings
from services.gateway.transport.connection import Connection
from services.gateway.transport.outbox import OutboxTotal
from shared.broker.ports import Ports
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.websocket import Ear, VirtualWebSocket


class Gateway:
    """The double of GatewayServer. It starts, fences, drains and stops in the same way."""

    def __init__(self, settings: GatewaySettings, network: Network, process: Process, ports: Ports) -> None:
        self.settings = settings
        self.outboxes = OutboxTotal(settings.outboxes_bytes)
        self.process = process
        self.ports = ports
        self.stopping = False
        self._network = network
        self._sessions: dict[VirtualWebSocket, Session] = {}
        loop = network.loop
        self.context = GatewayContext.compose(
            settings, ports, clock=loop.wall, ticks=loop.time, chance=network.chance.randbytes
        )
        self._dispatcher = Dispatcher(FEATURES)
        self._heartbeat = Heartbeat(self._sessions.values, settings, loop.wall)
        self._tasks: list[asyncio.Task[None]] = []

    # -- Host of the sockets ---------------------------------------------------------------------------------------------

    def opened(self, socket: VirtualWebSocket) -> Session:
        """See Host."""
        socket.next_ping = socket.opened_at + self._network.chance.uniform(0.5, 1) * self.settings.ping_seconds
        session = self._sessions[socket] = Session(self.context, self._dispatcher, cast("Connection", socket))
        return session

    def gone(self, socket: VirtualWebSocket) -> None:
        """See Host."""
        self._sessions.pop(socket, None)

    def connect(self, ear: Ear, address: str) -> VirtualWebSocket | None:
        """A client's new socket; None when the gateway does not take it."""
        if self.stopping or self.process.dead:
            return None
        return VirtualWebSocket(self._network, self, ear, address)

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As GatewayServer.start."""
        context = self.context
        context.lease.lost = self._fence
        self._tasks = [
            self.process.spawn(context.lease.run()),
            self.process.spawn(self._heartbeat.run()),
            self.process.spawn(context.feeds.compare()),
        ]

    def _fence(self) -> None:
        for session in list(self._sessions.values()):
            session.fence()

    async def stop(self, seconds: float) -> None:
        """As GatewayServer.stop."""
        self.stopping = True
        await drain(self._sessions.values, seconds)
        for socket in list(self._sessions):
            socket.abort()
        await asyncio.sleep(ENDING_SECONDS)
        await self.context.departures.finish(FAREWELL_SECONDS)
        for task in self._tasks:
            task.cancel()

    def die(self) -> None:
        """The gateway was killed: its sockets break, and it does nothing more."""
        for socket in list(self._sessions):
            socket.die()
        self.process.kill()
