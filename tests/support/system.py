"""All three services in one event loop, on any broker: real sockets in front, the real rules behind."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from services.auth import service as auth_service
from services.auth.service import Auth
from services.auth.settings import DEVELOPMENT_SECRET, AuthSettings
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

Connect = Callable[[str], Awaitable[Ports]]


def token(agent_id: str, *permissions: str, **claims: Any) -> str:
    """An agent-link token as development mode believes it."""
    now = int(time.time())
    body: dict[str, Any] = {
        "sub": agent_id,
        "iss": "agent-link",
        "aud": "agent-link",
        "iat": now,
        "exp": now + 3600,
        "jti": os.urandom(8).hex(),
    }
    if permissions:
        body["permissions"] = list(permissions)
    return jwt.encode({**body, **claims}, DEVELOPMENT_SECRET, algorithm="HS256")


class System:
    """Gateways, rooms replicas and one auth. `connect(user)` connects one of them."""

    def __init__(self, connect: Connect) -> None:
        self._connecting = connect
        self.gateways: list[GatewayServer] = []
        self.rooms: list[Rooms] = []
        self._auths: list[Auth] = []
        self.ports: list[Ports] = []
        self._clients: list[Client] = []

    async def _connect(self, user: str) -> Ports:
        self.ports.append(await self._connecting(user))
        return self.ports[-1]

    async def start(self, *, gateways: int = 1, rooms: int = 1, **settings: Any) -> None:
        """Start everything. `settings` go to whichever service has them."""
        for _ in range(rooms):
            await self.start_rooms(**_own(RoomsSettings, settings))
        await self.start_auth(**_own(AuthSettings, settings))
        for _ in range(gateways):
            await self.start_gateway(**_own(GatewaySettings, settings))

    async def start_rooms(self, **own: Any) -> None:
        """One more replica of rooms."""
        rooms = rooms_service.build(RoomsSettings(mode="development", **own), await self._connect("rooms"))
        await rooms.start()
        self.rooms.append(rooms)

    async def start_auth(self, **own: Any) -> None:
        """auth, the first time or again."""
        auth = auth_service.build(AuthSettings(mode="development", **own), await self._connect("auth"))
        await auth.start()
        self._auths.append(auth)

    async def start_gateway(self, **own: Any) -> GatewayServer:
        """One more gateway."""
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

    async def client(self, gateway: int = 0, **options: Any) -> Client:
        """A connection that has not authenticated."""
        client = await Client.open(self.gateways[gateway].url(), **options)
        self._clients.append(client)
        return client

    async def agent(self, agent_id: str, *permissions: str, gateway: int = 0, **fields: Any) -> Client:
        """A connection that has authenticated."""
        client = await self.client(gateway)
        await client.login(token(agent_id, *permissions), **fields)
        return client

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


def _own(settings: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in settings.model_fields}
