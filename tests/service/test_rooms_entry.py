"""Who gets into which room, under which ids and names; and what those who do not may learn."""

import time

import httpx
import pytest

from tests.support.broker_kind import in_memory
from tests.support.system import System, token


async def as_owner(system: System, method: str, path: str, **body: object) -> httpx.Response:
    """A REST request of the agent `owner`."""
    headers = {"Authorization": f"Bearer {token('owner')}"}
    async with httpx.AsyncClient(base_url=system.url, headers=headers) as http:
        return await http.request(method, path, json=body)


async def private_room(system: System, room_id: str = "private") -> None:
    """A room that needs a join token."""
    made = await as_owner(system, "POST", "/api/rooms", roomId=room_id, name="P", type="voice", access="token")
    assert made.status_code == 201, made.text


async def join_token(system: System, agent_id: str, room_id: str = "private", **fields: object) -> str:
    """Issued by the owner."""
    issued = await as_owner(system, "POST", f"/api/rooms/{room_id}/join", agentId=agent_id, **fields)
    assert issued.status_code == 201, issued.text
    return str(issued.json()["token"])


async def test_join_tokens(system: System) -> None:
    """One opens its room for its agent, once; a refusal does not use it up."""
    await system.start()
    await private_room(system)
    await private_room(system, "another")
    guest, thief = await system.agent("guest"), await system.agent("thief")
    ticket = await join_token(system, "guest", role="moderator")
    assert (await guest.ask("join_room", roomId="private"))["code"] == "room_not_found"
    assert (await guest.ask("join_room", roomId="another", token=ticket))["code"] == "forbidden"
    assert (await thief.ask("join_room", roomId="private", token=ticket))["code"] == "forbidden"
    assert (await guest.ask("join_room", roomId="private", token=ticket + "x"))["code"] == "forbidden"
    assert (await guest.ask("join_room", roomId="private", token=token("guest")))["code"] == "forbidden"
    seen = await guest.join("private", token=ticket)
    assert [p["role"] for p in seen["participants"]] == ["moderator"]
    assert (await guest.ask("leave_room"))["type"] == "ok"
    assert (await guest.ask("join_room", roomId="private", token=ticket))["code"] == "forbidden"
    assert (await (await system.client()).ask("authenticate", token=ticket))["code"] == "invalid_token"


async def test_permissions(system: System) -> None:
    """Open rooms need rooms:join; token rooms rooms:join:<id>, ownership or rooms:manage."""
    await system.start()
    await private_room(system)
    await as_owner(system, "POST", "/api/rooms", roomId="open", name="O", type="voice")
    admitted = [
        ("owner",),
        ("named", "rooms:join:private"),
        ("manager", "rooms:manage"),
        ("m2", "rooms:manage:private"),
    ]
    for name, *permissions in admitted:
        seen = await (await system.agent(name, *permissions)).join("private")
        mine = next(p for p in seen["participants"] if p["id"] == seen["self"])
        assert mine["role"] == ("owner" if name == "owner" else "participant")
    await (await system.agent("any", "rooms:join")).join("open")
    watcher = await system.agent("watcher", "rooms:observe")
    assert (await watcher.ask("join_room", roomId="open"))["code"] == "forbidden"
    nobody = await system.agent("nobody", "rooms:list")
    for room_id in ("open", "private", "unknown"):
        assert (await nobody.ask("join_room", roomId=room_id))["code"] == "room_not_found"


async def test_unknown_and_forbidden_are_the_same(system: System) -> None:
    """Guessing ids teaches nothing: same code, same sentence, about the same time; no room is made on the way."""
    await system.start(auto_create_rooms=False)
    await private_room(system)
    guesser = await system.agent("guesser")
    answers, times = [], []
    for room_id in ("private", "unknown", "private", "unknown"):
        started = time.monotonic()
        answer = await guesser.ask("join_room", roomId=room_id, id="x")
        times.append(time.monotonic() - started)
        answers.append(answer)
    assert answers == [answers[0]] * 4
    assert answers[0]["code"] == "room_not_found"
    assert min(times) > 0.02, "both are answered after the same pause"


REFUSED_IDS = [
    *("", ".", "..", "a.b", "*", ">", "a.>", "a b", " a", "a\n", "a\r\nPUB x 1", "$KV", "$SYS.REQ", "a/b", "a%2e"),
    *("é", "房间", "١", "a\u0000", "\u202ea", "x" * 65, "x" * 10240),
]


@in_memory
async def test_room_ids(system: System) -> None:
    """An id that could not be one token of a subject is a bad message in every request, and never reaches the broker."""
    await system.start(bad_messages=1000)
    client = await system.agent("a")
    await client.join("A-z_0-9")
    before = len(system.memory.rooms.messages)
    for room_id in REFUSED_IDS:
        for type_ in ("join_room", "get_room", "leave_room", "update_self"):
            answer = await client.ask(type_, roomId=room_id)
            assert (answer["code"], answer["message"].partition(":")[0]) == ("bad_message", "roomId"), room_id
    for odd in (7, None, ["r"], {"r": 1}, True):
        assert (await client.ask("join_room", roomId=odd))["code"] == "bad_message"
    assert len(system.memory.rooms.messages) == before
    await client.say("join_room", roomId=REFUSED_IDS[-1])
    assert (await client.hear("error"))["details"] == {"type": "join_room"}, "no 10 KiB come back"


@pytest.mark.parametrize("field", ["name", "metadata"])
@in_memory
async def test_what_one_says_of_oneself_is_clean(system: System, field: str) -> None:
    """No control characters or marks that reorder text in names; metadata is any JSON that is not too deep or large."""
    await system.start()
    client = await system.agent("a")
    if field == "name":
        for name in ("", " ", "a\nb", "a\x00", "\x1b[31m", "a\u202eb", "a\u2028", "\ufeff", "x" * 129):
            answer = await client.ask("join_room", roomId="r", name=name)
            assert answer["code"] == "bad_message", ascii(name)
        seen = await client.join("r", name='Фавзи 👩‍💻 O\'Neil "x" <b>')
        assert seen["participants"][0]["name"] == 'Фавзи 👩‍💻 O\'Neil "x" <b>'
        return
    deep: object = "x"
    for _ in range(300):
        deep = [deep]
    await client.say("join_room", roomId="r", metadata={"a": deep})
    assert (await client.hear("error"))["message"] == "the text is nested too deeply"
    assert (await client.ask("join_room", roomId="r", metadata={"a": "x" * 1020}))["code"] == "too_large"
    assert (await client.ask("join_room", roomId="r", metadata=[]))["code"] == "bad_message"
    odd = {"": 0, "\u0000": "\u0001", "__proto__": {"x": -0.0}, "n": 9007199254740991, "e": 1e-300}
    assert (await client.join("r", metadata=odd))["participants"][0]["metadata"] == odd
