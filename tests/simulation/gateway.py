"""A gateway without a port: what `services.gateway.__main__.compose` puts together, with lines in place of sockets."""

import asyncio
from typing import cast

from services.gateway.context import Surroundings
from services.gateway.departures import Departures
from services.gateway.drain import drain
from services.gateway.ice_servers import IceServers
from services.gateway.identity import FailedLogins
from services.gateway.lease import Lease
from services.gateway.replica.room_feed import RoomFeeds
from services.gateway.sealing import Sealer
from services.gateway.server import FAREWELL_SECONDS
from services.gateway.session.authentication import Shared
from services.gateway.session.heartbeat import Heartbeat
from services.gateway.session.session import Session
from services.gateway.settings import GatewaySettings
from services.gateway.signaling.relay import SignalValidator
from services.gateway.transport.connection import Connection
from shared.broker.bus import Bus
from tests.simulation.line import Ear, Line
from tests.simulation.network import Network
from tests.simulation.process import Process


class Gateway:
    """The double of GatewayServer: the same life, fence and drain."""

    def __init__(self, settings: GatewaySettings, network: Network, process: Process, bus: Bus) -> None:
        self.settings = settings
        self.process = process
        self.bus = bus
        self.stopping = False
        self._network = network
        self._sessions: dict[Line, Session] = {}
        clock, chance = network.loop.wall, network.chance.randbytes
        sealer = Sealer(settings.sealing_keys(), chance)
        around = Surroundings(
            bus=bus,
            rooms=RoomFeeds(bus, sealer, settings.signal_seconds),
            farewells=Departures(bus),
            lease=Lease(bus, settings.lease_seconds, clock, chance),
            ice=IceServers(bus, clock),
            clock=clock,
            chance=chance,
            rooms_per_session=settings.rooms_per_session,
            replay_seconds=settings.replay_seconds,
        )
        failed = FailedLogins(settings.failed_logins, network.loop.time)
        self._shared = Shared(settings, around, sealer, SignalValidator(settings), failed)
        self._heartbeat = Heartbeat(self._sessions.values, settings, clock)
        self._tasks: list[asyncio.Task[None]] = []

    # -- Host of the lines ---------------------------------------------------------------------------------------------

    def opened(self, line: Line) -> Session:
        """See Host."""
        line.next_ping = line.opened_at + self._network.chance.uniform(0.5, 1) * self.settings.ping_seconds
        session = self._sessions[line] = Session(self._shared, cast("Connection", line))
        return session

    def gone(self, line: Line) -> None:
        """See Host."""
        self._sessions.pop(line, None)

    def connect(self, ear: Ear, address: str) -> Line | None:
        """A client's new line, if there is a gateway to open it."""
        if self.stopping or self.process.dead:
            return None
        return Line(self._network, self, ear, address)

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As GatewayServer.start."""
        around = self._shared.around
        around.lease.lost = self._fence
        around.lease.recovered = around.rooms.resync
        self._tasks = [
            self.process.spawn(around.lease.run()),
            self.process.spawn(self._heartbeat.run()),
            self.process.spawn(around.rooms.compare()),
        ]

    def _fence(self) -> None:
        for session in list(self._sessions.values()):
            session.fence()

    async def stop(self, seconds: float) -> None:
        """As GatewayServer.stop."""
        self.stopping = True
        await drain(self._sessions.values, seconds)
        for line in list(self._sessions):
            line.abort()
        await asyncio.sleep(0)
        await self._shared.around.farewells.finish(FAREWELL_SECONDS)
        for task in self._tasks:
            task.cancel()

    def die(self) -> None:
        """Killed: its lines break, and it does nothing about that."""
        for line in list(self._sessions):
            line.die()
        self.process.kill()
