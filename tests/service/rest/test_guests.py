"""REST: guest tokens (protocol section 7)."""

import math
from typing import Any

import httpx
import pytest

from shared.auth.commands import CheckJoinToken, Identity, Validate
from shared.broker.subjects import CHECK_JOIN_TOKEN, VALIDATE
from shared.values.errors import Code
from shared.values.ids import AgentId, RoomId
from shared.values.moment import unix
from tests.service.rest.world import DEVELOPMENT, Start, World, assert_headers, assert_problem, room_of

GUESTS = "/api/guest/token"
JSON = {"Content-Type": "application/json"}


async def guest_of(world: World, **body: Any) -> tuple[httpx.AsyncClient, dict[str, Any]]:
    """A new guest's client, and what it was issued."""
    client = world.anyone()
    answer = await client.post(GUESTS, json=body)
    assert answer.status_code == 201, answer.text
    assert_headers(answer)
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client, answer.json()


async def test_anybody_becomes_a_guest(start: Start) -> None:
    """Under any host name, with or without a body; each is somebody new, for an hour."""
    world = await start(guest_access="true")
    answers = [
        await world.anyone("calls.example").post(GUESTS, content=body, headers=JSON)
        for body in (b"", b"{}", b"null", b'{"name":"Sara"}')
    ]
    for answer in answers:
        assert answer.status_code == 201, answer.text
        assert answer.json().keys() == {"token", "expiresAt", "agentId"}
        assert unix(answer.json()["expiresAt"]) == int(world.now) + 3600
    assert len({answer.json()["agentId"] for answer in answers}) == 4


async def test_what_a_guest_may_do(start: Start, owner: httpx.AsyncClient) -> None:
    """With `rooms:join` alone: see and enter open rooms, and nothing else; a room of access `token` is not even there."""
    world = await start(auth=DEVELOPMENT | {"PARLEY_GUEST_PERMISSIONS": "rooms:join"})
    owner = await world.agent("agent-fawzi")
    await room_of(owner, roomId="open")
    await room_of(owner, roomId="closed", access="token")
    guest, issued = await guest_of(world)
    assert (await guest.get("/api/rooms/open")).status_code == 200
    assert [room["roomId"] for room in (await guest.get("/api/rooms")).json()["rooms"]] == ["open"]
    assert (await guest.post("/api/rooms/open/join")).status_code == 201
    assert_problem(await guest.post("/api/rooms", json={"name": "Mine", "type": "voice"}), 403, Code.FORBIDDEN)
    assert_problem(await guest.patch("/api/rooms/open", json={"name": "Mine"}), 403, Code.FORBIDDEN)
    assert_problem(await guest.delete("/api/rooms/open"), 403, Code.FORBIDDEN)
    for path in ("/api/rooms/closed", "/api/rooms/closed/participants"):
        assert_problem(await guest.get(path), 404, Code.ROOM_NOT_FOUND)
    assert_problem(await guest.post("/api/rooms/closed/join"), 404, Code.ROOM_NOT_FOUND)
    invited = await owner.post("/api/rooms/closed/join", json={"agentId": issued["agentId"]})
    agent = AgentId(issued["agentId"])
    check = CheckJoinToken(token=invited.json()["token"], room_id=RoomId("closed"), agent_id=agent)
    grant = await world.ports.requests.request(CHECK_JOIN_TOKEN, check)
    assert await world.join(issued["agentId"], "closed", grant) == "participant"


async def test_a_guest_owns_what_it_made(world: World) -> None:
    """Where guests may create rooms, each may change its own and nobody else's."""
    guest, issued = await guest_of(world)
    other, _ = await guest_of(world)
    assert (await room_of(guest, roomId="mine"))["createdBy"] == issued["agentId"]
    assert_problem(await other.delete("/api/rooms/mine"), 403, Code.FORBIDDEN)
    assert (await guest.delete("/api/rooms/mine")).status_code == 204


async def test_a_guest_renews(world: World) -> None:
    """With the token it has, the same agent gets another; when that has ended, it is told so."""
    guest, issued = await guest_of(world, name="Sara")
    world.now += 3000
    renewed = await guest.post(GUESTS)
    assert renewed.json()["agentId"] == issued["agentId"]
    assert unix(renewed.json()["expiresAt"]) == int(world.now) + 3600
    world.now += 600
    assert_problem(await guest.post(GUESTS), 401, Code.EXPIRED_TOKEN)


@pytest.mark.parametrize("value", ["Bearer nonsense", "Basic YTpi", "Bearer", "nonsense", "Bearer a.b.c"])
async def test_a_token_that_cannot_be_renewed(world: World, value: str) -> None:
    """Whoever sends something along is that somebody or nobody: it is not taken for a wish to be new."""
    answer = await world.anyone().post(GUESTS, headers={"Authorization": value})
    assert answer.status_code == 401
    assert "token" not in answer.json()


async def test_an_agent_is_no_guest(owner: httpx.AsyncClient) -> None:
    """An agent-link token makes no guest token of its agent."""
    assert_problem(await owner.post(GUESTS), 401, Code.INVALID_TOKEN)


async def test_guessing_is_throttled(start: Start) -> None:
    """Refused tokens are counted here as everywhere."""
    world = await start(failed_logins="3")
    client = world.anyone()
    for _ in range(3):
        assert (await client.post(GUESTS, headers={"Authorization": "Bearer a.b.c"})).status_code == 401
    assert_problem(await client.post(GUESTS, headers={"Authorization": "Bearer a.b.c"}), 429, Code.THROTTLED)


@pytest.mark.parametrize(
    "body",
    [{"name": name} for name in ("", " ", "x" * 129, "a\n", 5)]
    + [{"kind": "service"}, {"permissions": ["rooms:manage"]}, {"agentId": "agent-fawzi"}, {"ttl": 10}],
)
async def test_a_guest_does_not_choose(world: World, body: dict[str, Any]) -> None:
    """Nothing but a name, and a proper one: 422."""
    assert_problem(await world.anyone().post(GUESTS, json=body), 422, Code.BAD_MESSAGE)


async def test_guests_of_one_address(start: Start) -> None:
    """So many a minute for each source address, whatever they ask; an IPv6 subscriber is one, with all its addresses."""
    world = await start(guest_tokens="2", trusted_proxies="127.0.0.1")
    client = world.anyone()

    async def status(source: str) -> Any:
        answer = await client.post(GUESTS, headers={"X-Forwarded-For": source})
        return answer.status_code

    assert [await status("198.51.100.1") for _ in range(3)] == [201, 201, 429]
    assert await status("198.51.100.2") == 201
    assert [await status(f"2001:db8::{n}") for n in range(1, 4)] == [201, 201, 429]
    assert await status("2001:db8:0:1::1") == 201
    limited = await client.post(GUESTS, headers={"X-Forwarded-For": "198.51.100.1"})
    document = assert_problem(limited, 429, Code.RATE_LIMITED)
    assert math.ceil(document["retryAfterMs"] / 1000) == 30
    world.now += 30
    assert await status("198.51.100.1") == 201


async def test_guests_of_one_network_are_known_as_such(start: Start) -> None:
    """The token carries which network got it, as auth's own fingerprint: one for an IPv4 address, one for an IPv6 /64."""
    world = await start(trusted_proxies="127.0.0.1")
    client = world.anyone()

    async def network(source: str) -> str | None:
        issued = await client.post(GUESTS, headers={"X-Forwarded-For": source})
        identity: Identity = await world.ports.requests.request(VALIDATE, Validate(token=issued.json()["token"]))
        return identity.guest_network

    one = await network("198.51.100.1")
    assert one
    assert await network("::ffff:198.51.100.1") == one
    assert await network("198.51.100.2") != one
    assert await network("2001:db8::1") == await network("2001:db8::ffff:2") != await network("2001:db8:0:1::1")


async def test_without_guest_access_the_path_does_not_exist(start: Start) -> None:
    """404, in the OpenAPI document as well; where auth alone was not told of guests, it refuses."""
    off = (await start(guest_access="false")).anyone()
    assert_problem(await off.post(GUESTS), 404, Code.BAD_MESSAGE)
    assert GUESTS not in (await off.get("/api/openapi.json")).json()["paths"]
    half = (await start(auth=DEVELOPMENT | {"PARLEY_GUEST_ACCESS": "false"})).anyone()
    assert_problem(await half.post(GUESTS), 403, Code.FORBIDDEN)


async def test_the_documentation_says_that_no_token_is_needed(world: World) -> None:
    """The operation takes a guest token, and none."""
    document = (await world.anyone().get("/api/openapi.json")).json()
    assert document["paths"][GUESTS]["post"]["security"] == [{}, {"agentLink": []}]


async def test_a_page_from_elsewhere_makes_no_guests_in_development(start: Start) -> None:
    """A page that made its own name resolve to this machine is told 404, unless guest access was turned on for all."""
    order = {"name": "Eve"}
    world = await start()
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.nip.io"):
        assert_problem(await world.anyone(host).post(GUESTS, json=order), 404, Code.BAD_MESSAGE)
        assert_problem(await world.anyone(host).get("/"), 404, Code.BAD_MESSAGE)
    for host in ("192.168.1.5:8080", "laptop.local:8080", "[fd00::2]"):
        assert (await world.anyone(host).post(GUESTS, json=order)).status_code == 201
    on = await start(guest_access="true")
    assert (await on.anyone("calls.example").post(GUESTS, json=order)).status_code == 201
