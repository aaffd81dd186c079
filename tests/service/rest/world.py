"""The REST API over the real rooms and auth, on a broker in memory; and the words its tests are written in."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from services.auth.handlers import AuthHandlers
from services.auth.handlers import endpoints as auth_endpoints
from services.auth.jwks import key_source
from services.auth.settings import AuthSettings
from services.gateway.context import GatewayContext
from services.gateway.rest import page
from services.gateway.rest.app import rest_app
from services.gateway.settings import GatewaySettings
from services.rooms.decision import Rules
from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.handlers import RoomsHandlers
from services.rooms.log import RoomLog
from shared.auth.commands import IssueDevToken
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.requests import Service
from shared.broker.subjects import ADD_PARTICIPANT
from shared.rooms.commands import AddParticipant, Caller
from shared.rooms.grant import Grant
from shared.values.errors import Code
from shared.values.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionKey

NOW = 1_770_804_000.0
DEVELOPMENT = {"PARLEY_MODE": "development"}
PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "retryable"}
OPERATIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/rooms/{}", None),
    ("PATCH", "/api/rooms/{}", {"name": "Mine now"}),
    ("DELETE", "/api/rooms/{}", None),
    ("GET", "/api/rooms/{}/participants", None),
    ("POST", "/api/rooms/{}/join", {}),
]
VOICE = {"name": "Daily", "type": "voice"}


class World:
    """rooms, auth and the gateway's REST side on one broker. Time stands still unless a room changes."""

    def __init__(self, root: Path = page.ROOT, auth: Mapping[str, str] = DEVELOPMENT, **settings: str) -> None:
        self.now = NOW
        self.broker = MemoryBroker()
        self.ports = connect(self.broker)
        self.directory = Directory(self.ports.room_log)
        self.settings = GatewaySettings.read(DEVELOPMENT | {f"PARLEY_{k.upper()}": v for k, v in settings.items()})
        context = GatewayContext.compose(
            self.settings, self.ports, clock=lambda: self.now, ticks=lambda: self.now, chance=os.urandom
        )
        self.app = rest_app(context, lambda: "http://127.0.0.1:8080", self.ready, root)
        own = AuthSettings.read(auth)
        self.auth = AuthHandlers(own, key_source(own), clock=lambda: self.now, chance=os.urandom)
        self.clients: list[httpx.AsyncClient] = []
        self.broken: Exception | None = None

    async def ready(self) -> None:
        if self.broken is not None:
            raise self.broken
        await self.ports.connection.check()

    def later(self) -> float:
        self.now += 0.01
        return self.now

    async def start(self) -> None:
        log = RoomLog(self.ports, capacity=100, snapshot_every=100, waiting=100)
        rooms = RoomsHandlers(RoomExecutor(log, Rules(), self.later), self.directory)
        await self.directory.start()
        await self.ports.requests.serve(Service("rooms", "rooms", rooms.endpoints()))
        await self.ports.requests.serve(Service("auth", "auth", auth_endpoints(self.auth)))

    async def stop(self) -> None:
        await self.directory.stop()
        for client in self.clients:
            await client.aclose()

    def anyone(self, host: str = "localhost:8080") -> httpx.AsyncClient:
        """A client without a token."""
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=f"http://{host}")
        self.clients.append(client)
        return client

    async def agent(self, name: str, *permissions: str) -> httpx.AsyncClient:
        """A client of this agent; without permissions named, with the default ones."""
        order = IssueDevToken(agent_id=AgentId(name), permissions=permissions or None)
        issued = await self.auth.issue_dev_token(order)
        client = self.anyone()
        client.headers["Authorization"] = f"Bearer {issued.token}"
        return client

    async def join(self, name: str, room_id: str, grant: Grant | None = None) -> str:
        """Take a seat, as a gateway would; the role."""
        join = AddParticipant(
            caller=Caller(agent_id=AgentId(name), name=name, permissions=frozenset({"rooms:join"})),
            room_id=RoomId(room_id),
            participant_id=ParticipantId(f"p_{name}"),
            session=SessionKey(f"session-{name}"),
            gateway=GatewayId("g_1"),
            device_id="laptop",
            grant=grant,
        )
        joined = await self.ports.requests.request(ADD_PARTICIPANT, join)
        return next(seat.participant.role for seat in joined.snapshot.seats if seat.participant.agent_id == name)


Start = Callable[..., Any]


async def room_of(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A new room."""
    answer = await client.post("/api/rooms", json=VOICE | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def assert_problem(answer: httpx.Response, status: int, code: Code) -> dict[str, Any]:
    """The answer is a problem document with this status and code, and with the headers that belong to it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document: dict[str, Any] = answer.json()
    assert document.keys() >= PROBLEM_FIELDS
    assert (document["status"], document["code"], document["type"]) == (status, code, "about:blank")
    assert document["retryable"] == ("retry-after" in answer.headers)
    assert (status == 401) == ("www-authenticate" in answer.headers)
    assert_headers(answer)
    return document


def assert_headers(answer: httpx.Response) -> None:
    """Nothing is cached, nothing is guessed."""
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
