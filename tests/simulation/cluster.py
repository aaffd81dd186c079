"""The running processes: gateways, replicas of rooms and auth. Each has a place, where a new process replaces it."""

import random
from collections.abc import Awaitable, Callable

from services.auth import service as auth_service
from services.auth.handlers import AuthHandlers
from services.auth.settings import AuthSettings
from services.gateway.settings import GatewaySettings
from services.rooms import service as rooms_service
from services.rooms.settings import RoomsSettings
from shared.broker.ports import Ports
from shared.runtime.service import ServiceInstance
from shared.values.errors import Refused
from tests.simulation.broker import Broker
from tests.simulation.connection import FaultyConnection
from tests.simulation.gateway import Gateway
from tests.simulation.network import Network
from tests.simulation.ports import ports_over
from tests.simulation.process import Process

DRAIN_SECONDS = 2.0
LOG_KEPT_SECONDS = 20.0


class Place:
    """A place for one process of a kind at a time."""

    def __init__(self, name: str, start: "Callable[[Place], Awaitable[None]]") -> None:
        self.name = name
        self.start = start
        self.generation = 0
        self.process: Process | None = None
        self.connection: FaultyConnection | None = None
        self.gateway: Gateway | None = None
        self.stop: Callable[[], Awaitable[None]] | None = None  # stops the process in order

    @property
    def up(self) -> bool:
        """Whether a process runs here."""
        return self.process is not None and not self.process.dead


class Cluster:
    """All places. A new process takes the place of one that was killed."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.broker = Broker(network)
        self.gateways = [Place(f"gateway{n}", self._start_gateway) for n in "AB"]
        self.rooms = [Place(f"rooms{n}", self._start_rooms) for n in "AB"]
        self.auth = Place("auth", self._start_auth)
        self.places = [*self.gateways, *self.rooms, self.auth]
        self.auth_handlers: AuthHandlers | None = None
        random.seed(network.chance.random())  # a drain spreads its clients by it
        # Read settings once: that costs more than all the rest of a gateway's start here.
        self._rooms_settings = RoomsSettings(
            mode="development",
            snapshot_every=7,
            empty_room_seconds=120,
            log_bytes=12_000,
            log_seconds=60,
            log_kept_seconds=LOG_KEPT_SECONDS,
            closed_log_seconds=20,
        )
        self._gateway_settings = GatewaySettings(mode="development")
        self._auth_settings = AuthSettings(mode="development")

    async def start(self) -> None:
        """Start a process in every place."""
        for place in self.places:
            await self.bring_up(place)

    async def bring_up(self, place: Place) -> None:
        """Start a new process in a place that is empty."""
        if place.up:
            return
        place.generation += 1
        place.process = Process(f"{place.name}{place.generation}")
        place.connection = FaultyConnection(self.broker, self._network, place.process)
        place.stop = None
        self._network.note(place.process.name, "starts")
        await place.start(place)

    def kill(self, place: Place) -> None:
        """Kill the process of a place, whatever it is doing."""
        if not place.up or place.process is None or place.connection is None:
            return
        self._network.note(place.process.name, "is killed")
        if place.gateway is not None:
            place.gateway.die()
            place.gateway = None
        place.process.kill()
        place.connection.gone()

    async def restart(self, place: Place) -> None:
        """Stop the process of a place, and start another one."""
        if place.up and place.stop is not None and place.process is not None:
            self._network.note(place.process.name, "is told to stop")
            stopping, place.stop = place.stop, None
            process = place.process
            await stopping()
            if place.process is process:
                self.kill(place)
        await self.bring_up(place)

    def gateway(self) -> Gateway | None:
        """A random gateway that takes clients now; None if there is none."""
        running = [place.gateway for place in self.gateways if place.gateway and not place.gateway.stopping]
        return self._network.chance.choice(running) if running else None

    async def _start_gateway(self, place: Place) -> None:
        process, ports = _parts(place)
        gateway = Gateway(self._gateway_settings, self._network, process, ports)
        place.gateway = gateway
        process.soon(gateway.start)

        async def stop() -> None:
            await process.spawn(gateway.stop(DRAIN_SECONDS))

        place.stop = stop

    async def _start_rooms(self, place: Place) -> None:
        process, ports = _parts(place)
        rooms = rooms_service.build(
            self._rooms_settings, ports, clock=self._network.loop.wall, chance=self._network.chance.randbytes
        )
        process.spawn(self._begin(place, rooms))

        async def stop() -> None:
            await process.spawn(rooms.stop())
            await ports.connection.close()

        place.stop = stop

    async def _begin(self, place: Place, service: ServiceInstance) -> None:
        """Start a service. If that fails the process ends, and another one is started as an orchestrator would."""
        try:
            await service.start()
        except Refused:
            self._network.later(1.0, self.revive, place)
            self.kill(place)

    def revive(self, place: Place) -> None:
        """Start a process in this place, if there is none."""
        self._network.spawn(self.bring_up(place))

    async def _start_auth(self, place: Place) -> None:
        process, ports = _parts(place)
        chance: Callable[[int], bytes] = self._network.chance.randbytes
        auth = auth_service.build(self._auth_settings, ports, clock=self._network.loop.wall, chance=chance)
        self.auth_handlers = auth.handlers
        process.spawn(self._begin(place, auth))


def _parts(place: Place) -> tuple[Process, Ports]:
    if place.process is None or place.connection is None:
        raise ValueError("a process is started in a place")
    return place.process, ports_over(place.connection)
