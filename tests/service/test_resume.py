"""Coming back: on the same gateway or another one, within the grace time or after it, with all that was missed."""

import asyncio

import httpx
import pytest

from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker_kind import in_memory, on_both
from tests.support.client import Client
from tests.support.sdp import answer, candidate, offer
from tests.support.system import System, token

pytestmark = on_both


MISSED = [
    "user_updated",  # bob himself: reconnecting
    "offer",
    "candidate",
    "user_updated",  # alice's name
    "user_joined",
    "offer",
    "user_left",
    "user_updated",  # bob himself: connected again
    "room_resumed",
]


@pytest.mark.parametrize("gateway", [0, 1])
async def test_all_that_was_missed(system: System, gateway: int) -> None:
    """Events and signals that came meanwhile, in the log's order and once, then `room_resumed`, then what is live."""
    await system.start(gateways=2)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    me = bob.participants[ROOM]
    await alice.hear("user_joined")
    away = Away(bob, "bob", login)
    await bob.close()
    await alice.hear("user_updated")
    await alice.ask("offer", to=me, sdp=offer())
    await alice.ask("candidate", to=me, candidate=candidate())
    await alice.ask("update_self", name="Alice")
    carol, _ = await came(system, "carol", gateway=1)
    await carol.ask("offer", to=me, sdp=offer())
    await carol.ask("leave_room")

    back, reply = await away.back(system, gateway)
    assert (reply["type"], reply["resumed"], reply["sessionId"]) == ("auth_ok", True, away.session_id)
    missed = await until_resumed(back)
    assert [m["type"] for m in missed] == MISSED
    revisions = [m["revision"] for m in missed if "revision" in m]
    assert revisions == [*range(revisions[0], revisions[0] + 5), revisions[-1]]
    assert revisions[-2] == revisions[-1]
    assert missed[1]["sdp"] == offer()
    assert (await alice.hear("user_updated", participant=missed[-2]["participant"]))["participant"]["connection"] == (
        "connected"
    )
    await back.ask("answer", to=alice.participants[ROOM], sdp=answer())
    assert (await alice.hear("answer"))["from"] == me
    await alice.ask("candidate", to=me, candidate=candidate())
    for _ in range(2):  # the missed one, which nobody has heard yet, and this one
        assert (await back.hear("candidate"))["from"] == alice.participants[ROOM]
    shown = await back.ask("get_room")
    assert shown["self"] == me
    assert {p["agentId"] for p in shown["participants"]} == {"alice", "bob"}


@pytest.mark.parametrize("gateway", [0, 1])
async def test_the_connection_before_is_replaced(system: System, gateway: int) -> None:
    """The newest connection has the session; the one before it hears nothing more of the room and closes with 4504."""
    await system.start(gateways=2)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    back, reply = await Away(bob, "bob", login).back(system, gateway)
    assert reply["resumed"] is True
    assert await bob.closed() == 4504
    assert bob.everything[-1]["type"] == "error"
    await until_resumed(back)
    await alice.ask("offer", to=back_id(bob), sdp=offer())
    assert (await back.hear("offer"))["sdp"] == offer()
    await alice.silence("user_left")
    assert not [m for m in bob.everything if m["type"] == "offer"]


def back_id(client: Client) -> str:
    """The participant a client was, and its session still is."""
    return client.participants[ROOM]


async def test_coming_back_twice(system: System) -> None:
    """An answer can get lost: the token may be used again, and the newest connection has the session."""
    await system.start(gateways=2)
    await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    await bob.close()
    first, _ = await away.back(system, 0)
    second, reply = await away.back(system, 1)
    assert reply["resumed"] is True
    assert await first.closed() == 4504
    missed = await until_resumed(second)
    assert [m["type"] for m in missed if m["type"] != "user_updated"] == ["room_resumed"]
    third, reply = await Away(second, "bob", reply).back(system, 1)
    assert reply["resumed"] is True
    assert await second.closed() == 4504
    await until_resumed(third)


async def test_too_late(system: System) -> None:
    """After the grace time the session is gone: `resumed` is false, it is another one, and the client joins anew."""
    await system.start(grace_seconds=0.5)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    await bob.close()
    assert (await alice.hear("user_left"))["reason"] == "timeout"
    back, reply = await away.back(system)
    assert (reply["type"], reply["resumed"]) == ("auth_ok", False)
    assert reply["sessionId"] != away.session_id
    assert (await back.ask("update_self", roomId=ROOM, name="x"))["code"] == "not_in_room"
    joined = await back.join(ROOM)
    assert joined["self"] != bob.participants[ROOM]


async def test_a_room_that_is_over(system: System) -> None:
    """Of a room that closed meanwhile the session hears how its stay ended; the others go on."""
    await system.start()
    alice, _ = await came(system, "alice", room="first")
    await alice.join("second")
    bob, login = await came(system, "bob", room="first")
    await bob.join("second")
    away = Away(bob, "bob", login)
    await bob.close()
    async with httpx.AsyncClient(base_url=system.url) as rest:
        gone = await rest.delete("/api/rooms/first", headers={"Authorization": f"Bearer {token('alice')}"})
    assert gone.status_code == 204
    back, reply = await away.back(system)
    assert reply["resumed"] is True
    left = await back.hear("user_left", roomId="first")
    assert (left["participantId"], left["reason"]) == (bob.participants["first"], "room_closed")
    await until_resumed(back, "second")


async def test_an_honest_snapshot(system: System) -> None:
    """A cursor that means nothing here gets the room as it is, with `recovered` false and the same `self`."""
    await system.start()
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    await bob.close()
    for cursor in ("", "nonsense", "otherlog.5", f"{away.cursors[ROOM].split('.')[0]}.1", "9" * 60):
        back, reply = await away.back(system, cursors={ROOM: cursor})
        assert reply["resumed"] is True
        shown = await back.hear("room_users")
        assert (shown["recovered"], shown["self"]) == (False, bob.participants[ROOM])
        resumed = await back.hear("room_resumed")
        assert (resumed["revision"], resumed["cursor"]) == (shown["revision"], shown["cursor"])
        assert [m["type"] for m in back.everything if "roomId" in m] == ["room_users", "room_resumed"]
        await alice.ask("offer", to=bob.participants[ROOM], sdp=offer())
        await back.hear("offer")
    await alice.silence("user_left")


async def test_without_rooms(system: System) -> None:
    """A session without rooms is resumed as well."""
    await system.start()
    client = await system.client()
    login = await client.login(token("bob"))
    back, reply = await Away(client, "bob", login).back(system)
    assert (reply["resumed"], reply["sessionId"]) == (True, login["sessionId"])
    assert await client.closed() == 4504
    await back.join(ROOM)


async def test_somebody_elses_secret(system: System) -> None:
    """A resume token opens nothing for another agent, nor does nonsense: they get a session of their own."""
    await system.start()
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    away.agent_id = "mallory"
    _, reply = await away.back(system)
    assert (reply["type"], reply["resumed"]) == ("auth_ok", False)
    for secret in ("", "x", login["sessionId"], token("bob")):
        _, reply = await Away(bob, "bob", login).back(system, token=secret)
        assert (reply["type"], reply["resumed"]) == ("auth_ok", False)
    assert (await bob.ask("ping"))["type"] == "pong"
    await alice.silence("user_left")


async def test_a_request_sent_again(system: System) -> None:
    """Requests whose answers got lost, sent again under their ids on the new connection, have no second effect."""
    await system.start(gateways=2)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    to = alice.participants[ROOM]
    away = Away(bob, "bob", login)
    await bob.ask("offer", id="o1", to=to, sdp=offer())
    await bob.ask("update_self", id="u1", name="Bob")
    await bob.close()
    back, _ = await away.back(system, 1)
    await until_resumed(back)
    assert (await back.ask("offer", id="o1", to=to, sdp=offer()))["type"] == "ok"
    assert (await back.ask("update_self", id="u1", name="Bob"))["type"] == "ok"
    await alice.silence("nothing")
    assert len([m for m in alice.everything if m["type"] == "offer"]) == 1
    named = [m for m in alice.everything if m["type"] == "user_updated" and m["participant"]["name"] == "Bob"]
    assert len([m for m in named if m["participant"]["connection"] == "connected"]) == 2  # renamed, and come back


async def test_leaving_sent_again(system: System) -> None:
    """A leave whose answer got lost: the session hears that it has left, and the request sent again is `ok`."""
    await system.start(gateways=2)
    await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    await bob.ask("leave_room", id="l1", roomId=ROOM)
    await bob.close()
    back, reply = await away.back(system, 1)
    assert reply["resumed"] is True
    assert (await back.hear("user_left"))["reason"] == "left"
    assert (await back.ask("leave_room", id="l1", roomId=ROOM))["type"] == "ok"
    assert (await back.ask("leave_room", roomId="elsewhere"))["code"] == "not_in_room"
    await back.join(ROOM)
    assert (await back.ask("leave_room"))["type"] == "ok"


async def test_joining_instead(system: System) -> None:
    """A client that comes back and joins, instead of naming the room, has its seat again; it is not doubled."""
    await system.start(gateways=2)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    away.cursors = {}
    await bob.close()
    await alice.hear("user_updated")
    back, reply = await away.back(system, 1)
    assert reply["resumed"] is True
    joined = await back.join(ROOM)
    assert joined["self"] == bob.participants[ROOM]
    assert [p["connection"] for p in joined["participants"]] == ["connected", "connected"]
    await alice.ask("offer", to=joined["self"], sdp=offer())
    await back.hear("offer")


@in_memory
async def test_many_come_and_go(system: System) -> None:
    """Clients that drop and come back at random on two gateways never see a hole, and end with one view of the room."""
    await system.start(gateways=2, connections_per_address=10_000)
    alice, _ = await came(system, "alice")

    async def restless(n: int) -> None:
        client, login = await came(system, f"restless-{n}", gateway=n % 2)
        me = client.participants[ROOM]
        for turn in range(6):
            away = Away(client, f"restless-{n}", login)
            if turn % 2:
                await client.close()
            last = client.everything[-1:]
            before = client
            client, login = await away.back(system, (n + turn) % 2)
            assert login["resumed"] is True, (login, last)
            missed = await until_resumed(client)
            client.participants[ROOM] = me
            about = [m["revision"] for m in before.everything if "revision" in m]
            revisions = [m["revision"] for m in missed if "revision" in m and m["type"] != "room_resumed"]
            assert revisions[0] <= max(about) + 1, "no hole between the connections"
            assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
            await client.ask("update_self", metadata={"turn": turn})
        await client.ask("leave_room")

    await asyncio.gather(*(restless(n) for n in range(8)))
    shown = await alice.ask("get_room")
    assert [p["agentId"] for p in shown["participants"]] == ["alice"]
    joins = [m["participant"]["id"] for m in alice.everything if m["type"] == "user_joined"]
    left = [m["participantId"] for m in alice.everything if m["type"] == "user_left"]
    assert sorted(joins) == sorted(left)
    assert len(set(joins)) == 8
