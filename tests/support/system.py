"""All three services in one event loop, on any broker: real sockets in front, the real rules behind."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from services.auth import service as auth_service
from services.auth.service import Auth
from services.auth.settings import AuthSettings
from services.gateway import service as gateway_service
from services.gateway.server import GatewayServer
from services.gateway.settings import GatewaySettings
from services.rooms import service as rooms_service
from services.rooms.service import Rooms
from services.rooms.settings import RoomsSettings
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.connection import MemoryConnection
from shared.broker.ports import Ports
from tests.support.client import Client
from tests.support.services import Services, token

__all__ = ["Connect", "System", "token"]

Connect = Callable[[str], Awaitable[Ports]]


class System(Services[Client]):
    """Services on real sockets. `connect(user)` connects one of them to its broker."""

    def __init__(self, connect: Connect) -> None:
        super().__init__(time.time)
        self._connecting = connect
        self.gateways: list[GatewayServer] = []
        self.rooms: list[Rooms] = []
        self._auths: list[Auth] = []
        self._clients: list[Client] = []

    async def _connect(self, user: str) -> Ports:
        self.ports.append(await self._connecting(user))
        return self.ports[-1]

    async def start_rooms(self, **own: Any) -> None:
        """See Services."""
        rooms = rooms_service.build(RoomsSettings(mode="development", **own), await self._connect("rooms"))
        await rooms.start()
        self.rooms.append(rooms)

    async def start_auth(self, **own: Any) -> None:
        """See Services."""
        auth = auth_service.build(AuthSettings(mode="development", **own), await self._connect("auth"))
        await auth.start()
        self._auths.append(auth)

    async def start_gateway(self, **own: Any) -> GatewayServer:
        """See Services."""
        ports = await self._connect("gateway")
        settings = GatewaySettings(**{"mode": "development", "port": 0, **own})
        gateway = gateway_service.build(settings, ports)
        await gateway.start()
        self.gateways.append(gateway.server)
        return gateway.server

    @property
    def memory(self) -> MemoryBroker:
        """The broker, where it is the one in memory."""
        connection = self.ports[0].connection
        assert isinstance(connection, MemoryConnection)
        return connection.broker

    @property
    def url(self) -> str:
        """The first gateway."""
        return self.gateways[0].url()

    def http(self) -> httpx.AsyncClient:
        """See Services."""
        return httpx.AsyncClient(base_url=self.url)

    async def client(self, gateway: int = 0, **options: Any) -> Client:
        """See Services."""
        client = await Client.open(self.gateways[gateway].url(), **options)
        self._clients.append(client)
        return client

    def kill(self, gateway: int) -> None:
        """See Services."""
        killed = self.gateways[gateway]
        killed.context.departures._say = lambda departure: None  # type: ignore[method-assign]  # a killed process says nothing
        for task in killed._tasks:
            if task.get_name() != "port":
                task.cancel()
        for connection in list(killed._sessions):
            connection.abort()

    async def stop(self) -> None:
        """Everything, in order."""
        await asyncio.gather(*(client.close() for client in self._clients), return_exceptions=True)
        await asyncio.gather(*(server.stop(1) for server in self.gateways))
        for rooms in self.rooms:
            await rooms.stop()
        for auth in self._auths:
            await auth.stop()
        for ports in reversed(self.ports):
            await ports.connection.close()
