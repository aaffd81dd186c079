"""`update_self` said faster than it is stored: what waits is stored together, and every one is answered for itself, in order."""

from typing import Any

from shared.values.ids import RoomId
from tests.simulation.clock import in_virtual_time
from tests.support.broker_kind import on_both
from tests.support.invariants import check_log
from tests.support.services import Services
from tests.support.stored import events_of
from tests.support.system import System
from tests.support.virtual import VirtualSystem
from tests.support.vocabulary import Message, Vocabulary

ROOM = RoomId("voice-1")
SLOW = {"participant_change_rate": 1, "participant_change_burst": 5}


async def entries(system: Services[Any]) -> int:
    """How many the room's log has."""
    page = await system.ports[0].room_log.read(f"agentlink.log.{ROOM}.event", limit=10_000)
    return len(events_of(page))


async def said(client: Vocabulary, count: int, first: int = 0) -> list[str]:
    """So many changes, all at once; their ids."""
    ids = [f"u{n}" for n in range(first, first + count)]
    for n, id_ in enumerate(ids, first):
        await client.say("update_self", id=id_, metadata={"n": n})
    return ids


async def answers(client: Vocabulary, ids: list[str]) -> list[Message]:
    """The answers to these requests, which come in this order."""
    for id_ in ids:
        await client.hear_answer(id_)
    got = [m for m in client.everything if m.get("id") in ids]
    assert [m["id"] for m in got] == ids
    return got


@in_virtual_time
async def test_a_flood_is_stored_at_its_pace(virtual: VirtualSystem) -> None:
    """Everything is `ok`, in order; the log has no more entries than the pace allows, and the last one has the last change."""
    await virtual.start(message_burst=1000, **SLOW)
    alice, bob = await virtual.agent("alice"), await virtual.agent("bob")
    await alice.join(ROOM)
    await bob.join(ROOM)
    before, began = await entries(virtual), virtual.clock()
    got = await answers(alice, await said(alice, 300))
    assert {m["type"] for m in got} == {"ok"}
    took = virtual.clock() - began
    assert await entries(virtual) - before <= 5 + took
    assert took <= 10, "they waited together"
    seen = await bob.ask("get_room")
    assert seen["participants"][0]["metadata"] == {"n": 299}
    await check_log(virtual.ports[0], ROOM)


@on_both
async def test_a_refusal_in_the_middle(system: System) -> None:
    """It is that one's alone; and what is asked behind it, of another kind too, keeps its place."""
    await system.start(message_burst=1000)
    alice = await system.agent("alice")
    await alice.join(ROOM)
    await alice.say("update_self", id="a", metadata={"n": 1})
    await alice.say("update_self", id="b", metadata={"n": "x" * 2000})
    await alice.say("update_self", id="a2", media={"audio": {"state": "on"}})
    await alice.say("update_self", id="a2", media={"audio": {"state": "on"}})  # once more the same
    await alice.say("update_self", id="a", metadata={"n": 2})  # the id of another one
    await alice.say("update_self", id="c", roomId="elsewhere", metadata={"n": 3})
    await alice.say("get_room", id="d")
    await alice.say("update_self", id="e", name="Al")
    await alice.say("leave_room", id="f")
    await alice.say("update_self", id="g", name="Bea")
    await alice.hear_answer("g")
    got = [(m["id"], m.get("code") or m["type"]) for m in alice.everything if m.get("id") in set("abcdefg") | {"a2"}]
    assert got == [
        ("a", "ok"),
        ("b", "too_large"),
        ("a2", "ok"),
        ("a2", "ok"),
        ("a", "bad_message"),
        ("c", "not_in_room"),
        ("d", "room_users"),
        ("e", "ok"),
        ("f", "ok"),
        ("g", "not_in_room"),
    ]
    shown = next(m for m in alice.everything if m.get("id") == "d")["participants"][0]
    assert (shown["metadata"], shown["media"]["audio"]) == ({"n": 1}, {"state": "on"})


@in_virtual_time
async def test_repeats_after_coming_back(virtual: VirtualSystem) -> None:
    """A client that heard no answer comes back on another gateway and asks all of it again: nothing has a second effect."""
    await virtual.start(gateways=2, rooms=2, message_burst=1000, **SLOW)
    alice, bob = await virtual.client(), await virtual.agent("bob", gateway=1)
    opened = await alice.login(virtual.token("alice"))
    joined = await alice.join(ROOM)
    await bob.join(ROOM)
    before = await entries(virtual)
    ids = await said(alice, 40)
    await alice.hear_answer(ids[-1], within=60)
    stored = await entries(virtual)
    assert 0 < stored - before < 40
    await bob.ask("update_self", metadata={"n": "bob's"})
    back = await virtual.client(gateway=1)
    resume = {"token": opened["resumeToken"], "cursors": {ROOM: joined["cursor"]}}
    await back.ask("authenticate", token=virtual.token("alice"), resume=resume)
    await back.hear("room_resumed")
    now = await entries(virtual)
    for again in (ids[3], ids[17], ids[0]):
        assert (await back.ask("update_self", id=again, metadata={"n": int(again[1:])}))["type"] == "ok"
    assert await entries(virtual) == now
    shown = {p["agentId"]: p["metadata"]["n"] for p in (await back.ask("get_room"))["participants"]}
    assert shown == {"alice": 39, "bob": "bob's"}


@in_virtual_time
async def test_no_second_bucket(virtual: VirtualSystem) -> None:
    """Leaving and joining again fills it no more than coming back on another gateway; in another room there is another one."""
    await virtual.start(gateways=2, throttle_seconds=0, **SLOW)
    alice = await virtual.client()
    opened = await alice.login(virtual.token("alice"))
    await alice.join(ROOM)

    async def changes(client: Vocabulary, room_id: str = ROOM) -> list[str]:
        told = [await client.ask("update_self", roomId=room_id, metadata={"n": virtual.clock() + n}) for n in range(8)]
        return [m.get("code") or m["type"] for m in told]

    assert await changes(alice) == ["ok"] * 5 + ["rate_limited"] * 3
    await alice.ask("leave_room", roomId=ROOM)
    joined = await alice.join(ROOM)
    assert "ok" not in await changes(alice)
    back = await virtual.client(gateway=1)
    resume = {"token": opened["resumeToken"], "cursors": {ROOM: joined["cursor"]}}
    await back.ask("authenticate", token=virtual.token("alice"), resume=resume)
    await back.hear("room_resumed")
    assert "ok" not in await changes(back)
    await back.join("another")
    assert (await changes(back, "another")).count("ok") == 5
