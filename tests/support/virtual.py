"""All three services in virtual time: the simulation's processes, broker and sockets, in fair weather."""

import asyncio
from random import Random
from typing import Any

import httpx

from services.auth import service as auth_service
from services.auth.settings import AuthSettings
from services.gateway.rest.app import rest_app
from services.gateway.settings import GatewaySettings
from services.rooms import service as rooms_service
from services.rooms.service import Rooms
from services.rooms.settings import RoomsSettings
from shared.broker.ports import Ports
from tests.simulation.broker import Broker
from tests.simulation.clock import VirtualLoop
from tests.simulation.connection import FaultyConnection
from tests.simulation.gateway import Gateway
from tests.simulation.network import Network
from tests.simulation.ports import ports_over
from tests.simulation.process import Process, task_factory
from tests.simulation.websocket import VirtualWebSocket
from tests.support.services import Services
from tests.support.vocabulary import Message, Vocabulary

HUNG_UP = 1000
ADDRESS = "192.0.2.1"
URL = "http://127.0.0.1"


class VirtualClient(Vocabulary):
    """The client's end of a VirtualWebSocket."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._code: int | None = None
        socket = gateway.connect(_Ear(self), ADDRESS)
        assert socket is not None, "the gateway takes nobody"
        self._socket = socket

    def hears(self, message: Message) -> None:
        """It has arrived."""
        self._take(message)

    def is_closed(self, code: int) -> None:
        """Nothing comes any more."""
        self._code = code
        self._end()

    async def _send(self, message: Message) -> None:
        self._socket.say(message)

    async def close(self) -> None:
        """See Vocabulary."""
        self._socket.drop(silently=False)
        self.is_closed(HUNG_UP)

    @property
    def close_code(self) -> int | None:
        """See Vocabulary."""
        return self._code


class _Ear:
    def __init__(self, client: VirtualClient) -> None:
        self._client = client

    def heard(self, _socket: VirtualWebSocket, message: Message) -> None:
        self._client.hears(message)

    def closed(self, _socket: VirtualWebSocket, code: int) -> None:
        self._client.is_closed(code)


class VirtualSystem(Services[VirtualClient]):
    """Services in the running VirtualLoop, each a process of its own."""

    network: Network  # from `start` on
    broker: Broker

    def __init__(self) -> None:
        super().__init__(self._now)
        self.gateways: list[Gateway] = []
        self.rooms: list[Rooms] = []
        self._replicas: list[tuple[Process, int]] = []  # and which of the connections is theirs

    async def start(self, *, gateways: int = 1, rooms: int = 1, **settings: Any) -> None:
        """See Services."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "its tests are in virtual time"
        loop.set_task_factory(task_factory)
        self.network = Network(loop, Random(1))  # its sky is calm
        self.broker = Broker(self.network)
        await super().start(gateways=gateways, rooms=rooms, **settings)

    def _now(self) -> float:
        return self.network.loop.wall()

    def _process(self, name: str) -> tuple[Process, Ports]:
        process = Process(f"{name} {len(self.ports)}")
        self.ports.append(ports_over(FaultyConnection(self.broker, self.network, process)))
        return process, self.ports[-1]

    async def start_rooms(self, **own: Any) -> None:
        """See Services."""
        process, ports = self._process("rooms")
        settings = RoomsSettings(mode="development", **own)
        rooms = rooms_service.build(settings, ports, clock=self.clock)
        await process.spawn(rooms.start())
        self.rooms.append(rooms)
        self._replicas.append((process, len(self.ports) - 1))

    async def start_auth(self, **own: Any) -> None:
        """See Services."""
        process, ports = self._process("auth")
        settings = AuthSettings(mode="development", **own)
        await process.spawn(auth_service.build(settings, ports, clock=self.clock).start())

    async def start_gateway(self, **own: Any) -> Gateway:
        """See Services."""
        process, ports = self._process("gateway")
        settings = GatewaySettings(**{"mode": "development", **own})
        gateway = Gateway(settings, self.network, process, ports)
        gateway.start()
        await gateway.context.lease.acquired()
        self.gateways.append(gateway)
        return gateway

    async def client(self, gateway: int = 0) -> VirtualClient:
        """See Services."""
        return VirtualClient(self.gateways[gateway])

    def http(self) -> httpx.AsyncClient:
        """See Services."""
        app = rest_app(self.gateways[0].context, lambda: URL, _ready)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)

    def kill(self, gateway: int) -> None:
        """See Services."""
        killed = self.gateways[gateway]
        killed.die()
        self._connections[self.ports.index(killed.ports)].gone()

    def kill_rooms(self, replica: int) -> None:
        """A replica of rooms is gone, in the middle of whatever it did."""
        process, number = self._replicas[replica]
        process.kill()
        self._connections[number].gone()

    def lose_broker(self) -> None:
        """Nobody is connected to the broker any more."""
        for connection in self._connections:
            connection.lose()

    async def find_broker(self) -> None:
        """Everybody is connected to it again."""
        for connection in self._connections:
            await connection.find()

    @property
    def _connections(self) -> list[FaultyConnection]:
        connections = [ports.connection for ports in self.ports]
        return [connection for connection in connections if isinstance(connection, FaultyConnection)]


async def _ready() -> None:
    """It always is."""
