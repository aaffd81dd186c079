"""REST: join tokens and development tokens (protocol section 7)."""

import os
from typing import Any

import httpx
import pytest

from services.gateway.context import GatewayContext
from services.gateway.rest import hosts
from services.gateway.rest.app import rest_app
from services.gateway.settings import GatewaySettings
from shared.auth.commands import CheckJoinToken
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.subjects import CHECK_JOIN_TOKEN
from shared.rooms.grant import Grant
from shared.values.errors import Code
from shared.values.ids import AgentId, RoomId
from shared.values.moment import unix
from tests.service.rest.world import Start, World, assert_headers, assert_problem, room_of

# -- join tokens -------------------------------------------------------------------------------------------------------


async def granted(world: World, answer: httpx.Response, agent_id: str) -> Grant:
    """What auth says the issued token allows."""
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == {"token", "expiresAt", "url"}
    assert_headers(answer)
    check = CheckJoinToken(token=answer.json()["token"], room_id=RoomId("r"), agent_id=AgentId(agent_id))
    return await world.ports.requests.request(CHECK_JOIN_TOKEN, check)


async def test_a_join_token_for_oneself(owner: httpx.AsyncClient, world: World) -> None:
    """Whoever may join gets one, for 60 s and good for the seat; the body may be absent, empty or null."""
    await room_of(owner, roomId="r")
    visitor = await world.agent("b")
    for body in (b"", b"{}", b"null", b'{"agentId":"b"}'):
        answer = await visitor.post("/api/rooms/r/join", content=body, headers={"Content-Type": "application/json"})
        grant = await granted(world, answer, "b")
        assert (grant.role, unix(answer.json()["expiresAt"])) == ("participant", int(world.now) + 60)
    assert await world.join("b", "r", grant) == "participant"


async def test_join_tokens_for_others(owner: httpx.AsyncClient, world: World) -> None:
    """The owner and managers let others in, as moderators too; nobody else does, and nobody promotes oneself."""
    await room_of(owner, roomId="r", access="token")
    order = {"agentId": "sara", "role": "moderator", "ttl": 5}
    for client in (owner, await world.agent("m", "rooms:manage"), await world.agent("m", "rooms:manage:r")):
        answer = await client.post("/api/rooms/r/join", json=order)
        grant = await granted(world, answer, "sara")
        assert unix(answer.json()["expiresAt"]) == int(world.now) + 5
    assert await world.join("sara", "r", grant) == "moderator"
    invited = await world.agent("b", "rooms:join:r")
    assert (await granted(world, await invited.post("/api/rooms/r/join"), "b")).role == "participant"
    for body in ({"agentId": "sara"}, {"role": "moderator"}):
        assert_problem(await invited.post("/api/rooms/r/join", json=body), 403, Code.FORBIDDEN)


@pytest.mark.parametrize(
    "body",
    [{"agentId": value} for value in ("", "a b", "x" * 129, "a\n", 5)]
    + [{"role": value} for value in ("owner", "admin", None)]
    + [{"ttl": value} for value in (0, -1, 1.5, "60", 10**12, 86_401)]
    + [{"roomId": "r"}, {"agent_id": "b"}],
)
async def test_orders_that_do_not_fit(owner: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """422; nobody becomes owner by a token, and its life is bounded."""
    await room_of(owner, roomId="r")
    assert_problem(await owner.post("/api/rooms/r/join", json=body), 422, Code.BAD_MESSAGE)


@pytest.mark.parametrize(
    ("public_url", "url"),
    [
        (None, "ws://127.0.0.1:8080/ws"),
        ("https://calls.example", "wss://calls.example/ws"),
        ("https://calls.example/parley/", "wss://calls.example/parley/ws"),
        ("http://calls.example:81", "ws://calls.example:81/ws"),
    ],
)
async def test_the_url_is_the_installations(start: Start, public_url: str | None, url: str) -> None:
    """From the setting, else the listening address; a forged `Host` is nowhere in an answer."""
    world = await start(**({} if public_url is None else {"public_url": public_url}))
    client = await world.agent("a")
    await room_of(client, roomId="r")
    answer = await client.post("/api/rooms/r/join", headers={"Host": "evil.example"})
    assert answer.json()["url"] == url
    for path in ("/api/rooms", "/api/rooms/", "/api/openapi.json", "/api/docs"):
        answer = await client.get(path, headers={"Host": "evil.example"})
        assert "evil" not in answer.text + str(answer.headers)
        assert not answer.is_redirect


# -- development tokens ------------------------------------------------------------------------------------------------


async def test_a_development_token_logs_in(world: World) -> None:
    """It names the agent and carries the permissions asked for."""
    order = {"agentId": "agent-fawzi", "permissions": ["rooms:create"], "ttl": 60, "name": "Fawzi", "kind": "agent"}
    answer = await world.anyone().post("/api/dev/token", json=order)
    assert (answer.status_code, answer.json().keys()) == (200, {"token", "expiresAt"})
    assert unix(answer.json()["expiresAt"]) == int(world.now) + 60
    client = world.anyone()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert (await room_of(client))["createdBy"] == "agent-fawzi"


@pytest.mark.parametrize("body", [{}, {"agentId": "a b"}, {"agentId": "a", "ttl": 0}, {"agentId": "a", "admin": True}])
async def test_development_tokens_that_cannot_be(world: World, body: dict[str, Any]) -> None:
    """422 as everywhere."""
    assert_problem(await world.anyone().post("/api/dev/token", json=body), 422, Code.BAD_MESSAGE)


async def test_development_tokens_are_for_loopback_hosts(world: World) -> None:
    """A page that made its own name resolve to 127.0.0.1 sends that name: 404, as if the path did not exist."""
    unknown = await world.anyone().get("/api/nothing")
    for host in ("evil.example", "localhost.evil.example", "10.0.0.1"):
        answer = await world.anyone(host).post("/api/dev/token", json={"agentId": "a"})
        assert_problem(answer, 404, Code.BAD_MESSAGE)
        assert answer.content == unknown.content


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        (host, True)
        for host in ("localhost", "LOCALHOST:1", "localhost:65535", "127.0.0.1", "127.1.2.3:80", "[::1]:8080")
    ]
    + [(host, False) for host in ("", "localhost.", "localhost:", "localhost@evil.example", "evil.example:127.0.0.1")]
    + [(host, False) for host in ("127.1", "0177.0.0.1", "2130706433", "127.0.0.1.nip.io", "128.0.0.1", "0.0.0.0")]
    + [
        (host, False)
        for host in ("::1", "[::1", "[::]", "[::ffff:127.0.0.1]", "[::1%lo]", "a.localhost", "localhost x")
    ],
)
def test_what_is_a_loopback_host(host: str, loopback: bool) -> None:
    """`localhost`, 127.0.0.0/8 in its canonical form and `[::1]`, with an optional port; no look-alike."""
    assert hosts.is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "nearby"),
    [(host, True) for host in ("localhost", "127.0.0.1:8080", "192.168.1.5:8080", "[fd00::2]:8080", "203.0.113.7")]
    + [(host, True) for host in ("laptop", "laptop:8080", "laptop.local", "My-Laptop.LOCAL:1")]
    + [
        (host, False)
        for host in ("", "calls.example", "evil.example:8080", "local.evil.example", "laptop.local.", "a b")
    ]
    + [(host, False) for host in ("192.168.1.5.nip.io", "evil.example#laptop", "laptop:port", "[fd00::2", "a.b.local")],
)
def test_what_is_nearby(host: str, nearby: bool) -> None:
    """Addresses, names without a dot, and those of mDNS; nothing that the name servers of the world could answer for."""
    assert hosts.is_nearby(host) is nearby


async def test_production_has_no_development_tokens() -> None:
    """The path is unknown there, in the OpenAPI document as well."""
    keys = {"PARLEY_SIGNAL_KEYS": "k1:" + "A" * 43 + "="}

    async def ready() -> None:
        pass

    ports = connect(MemoryBroker())
    context = GatewayContext.compose(
        GatewaySettings.read(keys), ports, clock=lambda: 0.0, ticks=lambda: 0.0, chance=os.urandom
    )
    app = rest_app(context, lambda: "http://127.0.0.1:8080", ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.post("/api/dev/token", json={"agentId": "a"})
        assert_problem(answer, 404, Code.BAD_MESSAGE)
        assert "/api/dev/token" not in (await client.get("/api/openapi.json")).json()["paths"]
