"""REST: making rooms (protocol section 7)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.values.errors import Code
from tests.service.rest.world import VOICE, Start, World, assert_headers, assert_problem, room_of


async def test_a_room_is_made(owner: httpx.AsyncClient) -> None:
    """201, `Location`, and the room with its defaults; the id is a UUID."""
    answer = await owner.post("/api/rooms", json=VOICE)
    assert_headers(answer)
    room = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/rooms/{room['roomId']}"
    assert len(room.pop("roomId")) == 36
    assert room.pop("createdAt").startswith("2026-02-11T")
    assert room == {
        "name": "Daily",
        "type": "voice",
        "maxParticipants": 10,
        "createdBy": "agent-fawzi",
        "access": "open",
        "settings": {"muteOnEntry": False, "allowRecording": False, "maxDuration": None},
        "participantCount": 0,
        "locked": False,
        "topology": "mesh",
    }
    assert (await owner.get(answer.headers["location"])).json()["name"] == "Daily"


async def test_everything_about_a_room_can_be_chosen(owner: httpx.AsyncClient) -> None:
    """Each field of the request is found in the room."""
    settings = {"muteOnEntry": True, "allowRecording": True, "maxDuration": 90}
    fields = {"roomId": "voice-room-123", "maxParticipants": 250, "access": "token", "settings": settings}
    room = await room_of(owner, **fields, name="Räume 👩‍🚀", type="video")
    assert {name: room[name] for name in fields} == fields
    assert (room["name"], room["type"]) == ("Räume 👩‍🚀", "video")


async def test_creating_needs_the_permission(world: World) -> None:
    """Without `rooms:create`: 403."""
    client = await world.agent("a", "rooms:join", "rooms:list", "rooms:manage")
    assert_problem(await client.post("/api/rooms", json=VOICE), 403, Code.FORBIDDEN)


async def test_a_taken_id_is_taken(owner: httpx.AsyncClient, world: World) -> None:
    """A `roomId` that is taken is 409 `room_exists`, for its owner too, and for ever: closing does not free it."""
    await room_of(owner, roomId="mine")
    for client in (owner, await world.agent("b")):
        assert_problem(await client.post("/api/rooms", json=VOICE | {"roomId": "mine"}), 409, Code.ROOM_EXISTS)
    await owner.delete("/api/rooms/mine")
    assert_problem(await owner.post("/api/rooms", json=VOICE | {"roomId": "mine"}), 409, Code.ROOM_EXISTS)


async def test_the_same_key_is_the_same_room(owner: httpx.AsyncClient, world: World) -> None:
    """An `Idempotency-Key` makes one room per agent, with or without a `roomId`; closed, it is 410."""
    key = {"Idempotency-Key": "order 66"}
    first, again = [await owner.post("/api/rooms", json=VOICE, headers=key) for _ in range(2)]
    assert (first.status_code, first.json(), first.headers["location"]) == (
        again.status_code,
        again.json(),
        again.headers["location"],
    )
    other = await (await world.agent("b")).post("/api/rooms", json=VOICE, headers=key)
    assert other.json()["roomId"] != first.json()["roomId"]
    named = [
        await owner.post("/api/rooms", json=VOICE | {"roomId": "named"}, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in named] == [201, 201]
    assert len((await owner.get("/api/rooms")).json()["rooms"]) == 3
    await owner.delete(first.headers["location"])
    assert_problem(await owner.post("/api/rooms", json=VOICE, headers=key), 410, Code.ROOM_CLOSED)


@pytest.mark.parametrize("key", [b"", b"x" * 129, b"a\tb", b"\xc3\xa4"])
async def test_keys_are_short_and_printable(owner: httpx.AsyncClient, key: bytes) -> None:
    """An `Idempotency-Key` that is none is refused, not ignored."""
    answer = await owner.post("/api/rooms", json=VOICE, headers=[(b"Idempotency-Key", key)])
    assert assert_problem(answer, 422, Code.BAD_MESSAGE)["errors"][0]["in"] == "header"


NOT_A_ROOM: dict[str, list[Any]] = {
    "maxParticipants": [0, -1, 10**9, 251, "10", 1.5, 10.0, True, []],
    "name": ["", " ", "x" * 129, "a\x00b", "a\r\nb", "\x1b[31m", "a\u202eb", 7, None],
    "type": ["audio", "VOICE", None, {}],
    "roomId": ["", "a.b", "*", ">", "a b", "a\n", "x" * 65, "ä", 5],
    "access": ["secret"],
    "settings": [[]],
    "settings.maxDuration": [0, "5", 0.5],
    "settings.muteOnEntry": [1],
    "createdBy": ["me"],
    "settings.loud": [True],
    "max_participants": [5],
    "settings.mute_on_entry": [True],
}


def nested(where: str, value: Any) -> dict[str, Any]:
    """The object with this value at this place."""
    first, _, rest = where.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        *((nested(where, value), where) for where, values in NOT_A_ROOM.items() for value in values),
        ({"<script>": 1}, "(unknown)"),
        ({"x" * 5000: 1}, "(unknown)"),
    ],
)
async def test_what_does_not_fit_is_named(owner: httpx.AsyncClient, fields: dict[str, Any], where: str) -> None:
    """422 `bad_message` names the field, in wire names, and never repeats a value."""
    answer = await owner.post("/api/rooms", json=VOICE | fields)
    document = assert_problem(answer, 422, Code.BAD_MESSAGE)
    assert {"in": "body", "field": where} == {key: document["errors"][0][key] for key in ("in", "field")}
    assert document["detail"].startswith(f"{where}: ")
    assert len(answer.text) < 1000
    assert (await owner.get("/api/rooms")).json()["rooms"] == []


async def test_values_are_not_repeated(owner: httpx.AsyncClient) -> None:
    """Whatever was sent in a wrong place (a token, say) is not in the answer."""
    for field in (*VOICE, "roomId", "access", "settings", "maxParticipants"):
        answer = await owner.post("/api/rooms", json=VOICE | {field: {"canary": "can\tary"}})
        assert_problem(answer, 422, Code.BAD_MESSAGE)
        assert "can\tary" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b'"room"',
        b"null",
        b'{"name":"a","name":"b","type":"voice"}',
        b'{"name":"a","type":"voice","maxParticipants":NaN}',
        b'{"name":"a","type":"voice","maxParticipants":Infinity}',
        b'{"name":"a","type":"voice","maxParticipants":1e400}',
        b'{"name":"\\ud800","type":"voice"}',
        b'{"name":"\xff","type":"voice"}',
        b"[" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"name":"a","type":"voice"} ,',
        b"1" * 5000,
    ],
)
async def test_json_is_strict(owner: httpx.AsyncClient, body: bytes) -> None:
    """Text that is no JSON, or that JSON parsers disagree about, is 400; JSON that is no room is 422."""
    answer = await owner.post("/api/rooms", content=body, headers={"Content-Type": "application/json"})
    well_formed = body in (b"", b"[]", b'"room"', b"null")
    assert_problem(answer, 422 if well_formed else 400, Code.BAD_MESSAGE)
    assert (await owner.get("/api/rooms")).json()["rooms"] == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_bodies_are_json(owner: httpx.AsyncClient, content_type: str | None) -> None:
    """Another content type is 415: no page can send one of these without asking first (CORS)."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await owner.post("/api/rooms", content=json.dumps(VOICE).encode(), headers=headers)
    assert_problem(answer, 415, Code.BAD_MESSAGE)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_bodies_have_a_limit(start: Start, chunked: bool, method: str) -> None:
    """More than `rest_body_bytes` is 413, whether the length was announced or not; exactly as many is read."""
    world = await start(rest_body_bytes="2048")
    client = await world.agent("a")
    await room_of(client, roomId="r")

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for i in range(0, len(body), 100):
            yield body[i : i + 100]

    async def send(size: int) -> httpx.Response:
        body = b" " * (size - len(json.dumps(VOICE))) + json.dumps(VOICE).encode()
        path = "/api/rooms" if method == "POST" else "/api/rooms/r"
        headers = {"Content-Type": "application/json"}
        answer: httpx.Response = await client.request(
            method, path, content=chunks(body) if chunked else body, headers=headers
        )
        return answer

    assert (await send(2048)).is_success
    assert assert_problem(await send(2049), 413, Code.TOO_LARGE)["details"] == {"maxBytes": 2048}
