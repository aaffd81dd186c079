"""REST: finding, changing and closing rooms (protocol section 7)."""

import json
from typing import Any

import httpx
import pytest

from shared.values.errors import Code
from tests.service.rest.test_creating import nested
from tests.service.rest.world import OPERATIONS, World, assert_headers, assert_problem, room_of

STRANGE_IDS = [
    "a.b", "*", ">", "a b", "a%0D%0Ab", "abc%0A", "$KV", "%24KV.x.%3E", "x" * 65, "x" * 10_240, "r%C3%A4um", "%00",
    "..a", "%F0%9F%98%80",
]  # fmt: skip


async def test_rooms_are_listed_newest_first_in_pages(owner: httpx.AsyncClient) -> None:
    """Pages follow each other by `cursor` without gaps or repeats; the last has none."""
    made = [(await room_of(owner, name=f"Room {i}"))["roomId"] for i in range(5)]
    seen: list[str] = []
    sizes: list[int] = []
    cursor: str | None = None
    while cursor is not None or not sizes:
        params: dict[str, Any] = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await owner.get("/api/rooms", params=params)).json()
        assert page.keys() == {"rooms", "cursor"}
        sizes.append(len(page["rooms"]))
        seen += [room["roomId"] for room in page["rooms"]]
        cursor = page["cursor"]
    assert (seen, sizes) == (made[::-1], [2, 2, 1])


@pytest.mark.parametrize(
    "params",
    [{"limit": value} for value in ("0", "101", "x", "-1", "+1", "1.5", "", "1_0", " 1", "\uff11", "1e1", ["1", "2"])]
    + [{"cursor": ""}, {"cursor": "é"}, {"cursor": "x" * 600}, {"limt": "5"}],
)
async def test_pages_are_asked_for_properly(owner: httpx.AsyncClient, params: dict[str, str | list[str]]) -> None:
    """A limit out of 1 to 100, a cursor that is none, an unknown parameter and one given twice are 422."""
    assert_problem(await owner.get("/api/rooms", params=params), 422, Code.BAD_MESSAGE)


async def test_a_page_has_fifty_rooms_by_default(owner: httpx.AsyncClient) -> None:
    """Without `limit` 50, and at most 100."""
    for _ in range(51):
        await room_of(owner)
    assert len((await owner.get("/api/rooms")).json()["rooms"]) == 50
    assert len((await owner.get("/api/rooms?limit=100")).json()["rooms"]) == 51


async def test_the_list_holds_what_the_caller_may_join(owner: httpx.AsyncClient, world: World) -> None:
    """Own and joinable rooms; with `rooms:list` all; never closed ones."""
    for room_id, access in (("open", "open"), ("token", "token"), ("gone", "open")):
        await room_of(owner, roomId=room_id, access=access)
    await owner.delete("/api/rooms/gone")

    async def listed(*permissions: str) -> set[str]:
        client = await world.agent("b", *permissions)
        return {room["roomId"] for room in (await client.get("/api/rooms")).json()["rooms"]}

    assert {room["roomId"] for room in (await owner.get("/api/rooms")).json()["rooms"]} == {"open", "token"}
    assert await listed("rooms:create", "rooms:join") == {"open"}
    assert await listed("rooms:create") == set()
    assert await listed("rooms:join:token") == {"token"}
    assert await listed("rooms:list") == await listed("rooms:manage") == {"open", "token"}


async def test_a_room_changes_by_merging(owner: httpx.AsyncClient) -> None:
    """What is absent stays; `settings` merge by key; `null` there means the default."""
    room = await room_of(owner, settings={"muteOnEntry": True, "maxDuration": 30})
    path = f"/api/rooms/{room['roomId']}"

    async def patched(**change: Any) -> dict[str, Any]:
        answer = await owner.patch(path, json=change)
        assert answer.status_code == 200, answer.text
        assert_headers(answer)
        assert (await owner.get(path)).json() == answer.json()
        result: dict[str, Any] = answer.json()
        return result

    assert await patched() == room
    assert await patched(name="Weekly", maxParticipants=3) == room | {"name": "Weekly", "maxParticipants": 3}
    assert (await patched(settings={"allowRecording": True}))["settings"] == {
        "muteOnEntry": True,
        "allowRecording": True,
        "maxDuration": 30,
    }
    assert (await patched(settings={"maxDuration": None, "muteOnEntry": None}))["settings"] == {
        "muteOnEntry": False,
        "allowRecording": True,
        "maxDuration": None,
    }
    assert (await patched(type="video", access="token"))["access"] == "token"


NOT_A_CHANGE: dict[str, list[Any]] = {
    "name": [None, "a\x07"],
    "type": [None, "audio"],
    "maxParticipants": [None, 0, -1, 10**9, "10", 1.5],
    "access": [None],
    "settings": [None],
    "settings.maxDuration": [0],
    "settings.max_duration": [5],
    "settings.x": [1],
    "roomId": ["x"],
    "createdBy": ["x"],
    "locked": [True],
    "topology": ["mesh"],
}


@pytest.mark.parametrize(
    ("change", "where"), [(nested(where, value), where) for where, values in NOT_A_CHANGE.items() for value in values]
)
async def test_changes_that_do_not_fit(owner: httpx.AsyncClient, change: dict[str, Any], where: str) -> None:
    """422 names the field, and nothing changes."""
    room = await room_of(owner, roomId="r")
    document = assert_problem(await owner.patch("/api/rooms/r", json=change), 422, Code.BAD_MESSAGE)
    assert document["errors"][0]["field"] == where
    assert (await owner.get("/api/rooms/r")).json() == room


async def test_only_owner_and_managers_change_and_close(owner: httpx.AsyncClient, world: World) -> None:
    """Others who may see the room get 403; `rooms:manage` and `rooms:manage:<id>` may."""
    await room_of(owner, roomId="r")
    visitor = await world.agent("b", "rooms:join", "rooms:manage:other")
    assert_problem(await visitor.patch("/api/rooms/r", json={"name": "Mine"}), 403, Code.FORBIDDEN)
    assert_problem(await visitor.delete("/api/rooms/r"), 403, Code.FORBIDDEN)
    for permission in ("rooms:manage", "rooms:manage:r"):
        manager = await world.agent("c", permission)
        assert (await manager.patch("/api/rooms/r", json={"name": permission})).json()["name"] == permission
    assert (await manager.delete("/api/rooms/r")).status_code == 204


async def test_a_closed_room_is_gone(owner: httpx.AsyncClient, world: World) -> None:
    """204 without a body; then 410 for those who may know of it and 404 for the others."""
    await room_of(owner, roomId="r", access="token")
    closed = await owner.delete("/api/rooms/r")
    assert (closed.status_code, closed.content) == (204, b"")
    assert_headers(closed)
    stranger = await world.agent("b")
    for method, path, body in OPERATIONS:
        sent: dict[str, Any] = {} if body is None else {"json": body}
        assert_problem(await owner.request(method, path.format("r"), **sent), 410, Code.ROOM_CLOSED)
        assert_problem(await stranger.request(method, path.format("r"), **sent), 404, Code.ROOM_NOT_FOUND)


async def test_participants_are_listed(owner: httpx.AsyncClient, world: World) -> None:
    """The revision and the public fields of everyone in the room, and nothing else."""
    await room_of(owner, roomId="r")
    assert (await owner.get("/api/rooms/r/participants")).json() == {"revision": 1, "participants": []}
    await world.join("sara", "r")
    answer = (await owner.get("/api/rooms/r/participants")).json()
    assert (answer["revision"], len(answer["participants"])) == (2, 1)
    participant = answer["participants"][0]
    assert (participant["agentId"], participant["role"]) == ("sara", "participant")
    assert "session-sara" not in json.dumps(answer)
    assert "g_1" not in json.dumps(answer)
    assert (await owner.get("/api/rooms/r")).json()["participantCount"] == 1


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
async def test_guessing_ids_reveals_nothing(
    owner: httpx.AsyncClient, world: World, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """A room one may not know of, one that does not exist, and an id that cannot exist: the same answer to the byte."""
    await room_of(owner, roomId="secret", access="token")
    stranger = await world.agent("b")
    sent: dict[str, Any] = {} if body is None else {"json": body}
    answers = [await stranger.request(method, path.format(i), **sent) for i in ("secret", "nothing", *STRANGE_IDS)]
    for answer in answers:
        assert_problem(answer, 404, Code.ROOM_NOT_FOUND)
        assert (answer.content, answer.headers) == (answers[0].content, answers[0].headers)
    assert (await owner.get("/api/rooms/secret")).json()["name"] == "Daily"


async def test_observers_see_and_touch_nothing(owner: httpx.AsyncClient, world: World) -> None:
    """`rooms:observe` reads any room; it neither changes nor joins it."""
    await room_of(owner, roomId="r", access="token")
    observer = await world.agent("b", "rooms:observe")
    assert (await observer.get("/api/rooms/r")).is_success
    assert (await observer.get("/api/rooms/r/participants")).is_success
    assert_problem(await observer.patch("/api/rooms/r", json={}), 403, Code.FORBIDDEN)
    assert_problem(await observer.delete("/api/rooms/r"), 403, Code.FORBIDDEN)
    assert_problem(await observer.post("/api/rooms/r/join"), 403, Code.FORBIDDEN)
