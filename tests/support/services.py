"""All three services in one event loop, whatever they stand on: how tests start them, and come to them as agents."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import httpx
import jwt

from services.auth.settings import DEVELOPMENT_SECRET, AuthSettings
from services.gateway.settings import GatewaySettings
from services.rooms.settings import RoomsSettings
from shared.broker.ports import Ports
from tests.support.vocabulary import Vocabulary

AnyClient = TypeVar("AnyClient", bound=Vocabulary)


def token(agent_id: str, *permissions: str, now: float | None = None, **claims: Any) -> str:
    """An agent-link token as development mode believes it. `now` is Unix seconds; the machine's clock, if it is None."""
    since = int(time.time() if now is None else now)
    body: dict[str, Any] = {
        "sub": agent_id,
        "iss": "agent-link",
        "aud": "agent-link",
        "iat": since,
        "exp": since + 3600,
        "jti": os.urandom(8).hex(),
    }
    if permissions:
        body["permissions"] = list(permissions)
    return jwt.encode({**body, **claims}, DEVELOPMENT_SECRET, algorithm="HS256")


class Services(ABC, Generic[AnyClient]):
    """Gateways, rooms replicas and one auth. `clock` gives their Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.ports: list[Ports] = []  # in the order in which they were started

    async def start(self, *, gateways: int = 1, rooms: int = 1, **settings: Any) -> None:
        """Start everything. `settings` go to whichever service has them."""
        for _ in range(rooms):
            await self.start_rooms(**_own(RoomsSettings, settings))
        await self.start_auth(**_own(AuthSettings, settings))
        for _ in range(gateways):
            await self.start_gateway(**_own(GatewaySettings, settings))

    @abstractmethod
    async def start_rooms(self, **own: Any) -> None:
        """One more replica of rooms."""

    @abstractmethod
    async def start_auth(self, **own: Any) -> None:
        """auth, the first time or again."""

    @abstractmethod
    async def start_gateway(self, **own: Any) -> Any:
        """One more gateway."""

    @abstractmethod
    async def client(self, gateway: int = 0) -> AnyClient:
        """A connection that has not authenticated."""

    @abstractmethod
    def kill(self, gateway: int) -> None:
        """As if its process were killed: no socket, no lease, and not a word to anybody."""

    @abstractmethod
    def http(self) -> httpx.AsyncClient:
        """Of the first gateway's REST side."""

    def token(self, agent_id: str, *permissions: str, **claims: Any) -> str:
        """An agent-link token that is good now."""
        return token(agent_id, *permissions, now=self.clock(), **claims)

    async def agent(self, agent_id: str, *permissions: str, gateway: int = 0, **fields: Any) -> AnyClient:
        """A connection that has authenticated."""
        client = await self.client(gateway)
        await client.login(self.token(agent_id, *permissions), **fields)
        return client

    async def rest(self, method: str, path: str, agent_id: str = "alice", **body: Any) -> httpx.Response:
        """An agent's REST request about rooms."""
        async with self.http() as client:
            headers = {"Authorization": f"Bearer {self.token(agent_id)}"}
            return await client.request(method, f"/api/rooms{path}", headers=headers, json=body or None)


def _own(settings: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in settings.model_fields}
