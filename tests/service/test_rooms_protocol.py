"""Rooms as clients see them: a snapshot, then every change once, in order."""

from typing import Any

import httpx

from tests.support.system import System, token
from tests.support.view import View


async def rest(system: System, agent: str, method: str, path: str, **body: object) -> httpx.Response:
    """A REST request of this agent."""
    headers = {"Authorization": f"Bearer {token(agent)}"}
    async with httpx.AsyncClient(base_url=system.url, headers=headers) as http:
        answer = await http.request(method, path, json=body or None)
    assert answer.status_code < 300, answer.text
    return answer


async def test_what_room_users_says(system: System) -> None:
    """The room, oneself, everybody in it, at one revision and position; fields as the protocol names them."""
    await system.start()
    client = await system.client()
    await client.login(token("agent-fawzi", name="Fawzi", kind="agent"), deviceId="laptop")
    seen = await client.join("voice-1", metadata={"mood": "fine"}, media={"audio": {"state": "on"}})
    assert seen.keys() == {
        *("type", "id", "roomId", "revision", "cursor", "self", "room", "participants", "iceServers"),
    }
    room = seen["room"]
    assert room == {
        "roomId": "voice-1",
        "name": "voice-1",
        "type": "video",
        "maxParticipants": 10,
        "createdBy": "agent-fawzi",
        "createdAt": room["createdAt"],
        "access": "open",
        "settings": {"muteOnEntry": False, "allowRecording": False, "maxDuration": None},
        "participantCount": 1,
        "locked": False,
        "topology": "mesh",
    }
    (me,) = seen["participants"]
    assert me == {
        "id": seen["self"],
        "agentId": "agent-fawzi",
        "deviceId": "laptop",
        "name": "Fawzi",
        "kind": "agent",
        "role": "owner",
        "order": 1,
        "joinedAt": me["joinedAt"],
        "connection": "connected",
        "media": {"audio": {"state": "on"}, "video": {"state": "off"}, "screen": {"state": "off"}},
        "metadata": {"mood": "fine"},
    }


async def test_every_change_reaches_everyone(system: System) -> None:
    """Joined, updated, left, room updated and closed: each client gets each once, with contiguous revisions."""
    await system.start(gateways=2)
    alice, bob = await system.agent("alice"), await system.agent("bob", gateway=1)
    await alice.join("voice-1", name="Alice")
    await bob.join("voice-1")
    await alice.ask("update_self", media={"audio": {"state": "on"}})
    carol = await system.agent("carol", gateway=1)
    await carol.join("voice-1")
    await rest(system, "alice", "PATCH", "/api/rooms/voice-1", name="Renamed", maxParticipants=2)
    await bob.ask("leave_room")
    assert (await carol.ask("get_room"))["room"]["name"] == "Renamed"
    await rest(system, "alice", "DELETE", "/api/rooms/voice-1")
    for client in (alice, carol):
        await client.hear("room_closed", reason="deleted")
        view = View.of(client.everything, "voice-1")
        assert (view.closed, view.participants, view.revision) == ("deleted", {}, 10)
        kinds = [m["type"] for m in client.everything if "revision" in m and m["type"] != "room_users"]
        assert kinds[-4:] == ["user_left", "user_left", "user_left", "room_closed"]
        assert {m["reason"] for m in client.everything[-3:-1]} == {"room_closed"}
    assert not [m for m in bob.everything if m["type"] == "room_closed"], "nothing after it left"
    same = [[m for m in c.everything if m.get("revision", 0) > 5] for c in (alice, carol)]
    assert same[0] == [m for m in same[1] if m["type"] != "room_users"], "the same pushes for all, cursors included"
    for type_ in ("get_room", "leave_room", "update_self"):
        assert (await alice.ask(type_, roomId="voice-1"))["code"] == "not_in_room"
    assert (await alice.ask("join_room", roomId="voice-1"))["code"] == "room_closed"


async def test_joining_again(system: System) -> None:
    """In the same session it is no second stay, but room_users anew; the others hear nothing."""
    await system.start()
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("voice-1")
    first = await bob.join("voice-1")
    again = await bob.join("voice-1", name="Another")
    assert again | {"id": ""} == first | {"id": ""}
    await alice.hear("user_joined")
    await alice.silence("user_joined")
    await bob.ask("leave_room")
    third = await bob.join("voice-1")
    assert third["self"] != first["self"]
    assert third["participants"][-1]["order"] == 3


async def test_the_same_agent_and_device(system: System) -> None:
    """The newcomer takes the place of the old stay, as one change; the old client is told, and keeps its connection."""
    await system.start(gateways=2)
    old, bob = await system.agent("alice", deviceId="phone"), await system.agent("bob")
    new = await system.agent("alice", deviceId="phone", gateway=1)
    before = await old.join("voice-1")
    await old.join("elsewhere")
    await bob.join("voice-1")
    await old.hear("user_joined")
    after = await new.join("voice-1")
    assert after["self"] != before["self"]
    assert [p["agentId"] for p in after["participants"]] == ["bob", "alice"]
    for client in (old, bob):
        left = await client.hear("user_left")
        assert (left["participantId"], left["reason"]) == (before["self"], "replaced")
    joined = await bob.hear("user_joined")
    assert joined["participant"]["id"] == after["self"]
    assert View.of(bob.everything, "voice-1").participants.keys() == {after["self"], bob.participants["voice-1"]}
    assert (await old.ask("get_room", roomId="voice-1"))["code"] == "not_in_room"
    assert (await old.ask("get_room"))["roomId"] == "elsewhere"
    await old.silence("user_joined")


async def test_saying_something_of_oneself(system: System) -> None:
    """Objects merge by key, null removes, a null name is the token's again; too much is refused and changes nothing."""
    await system.start()
    alice, bob = await system.client(), await system.agent("bob")
    await alice.login(token("alice", name="Alice A."))
    await alice.join(
        "voice-1", name="Ali", metadata={"a": 1, "deep": {"x": 1, "y": 2}}, media={"audio": {"state": "on"}}
    )
    await bob.join("voice-1")

    async def becomes(**change: object) -> dict[str, Any]:
        assert (await alice.ask("update_self", **change))["type"] == "ok"
        pushed = (await bob.hear("user_updated"))["participant"]
        assert pushed == (await alice.hear("user_updated"))["participant"], "oneself hears it too"
        return dict(pushed)

    after = await becomes(metadata={"a": None, "b": [1], "deep": {"x": None}})
    assert after["metadata"] == {"b": [1], "deep": {"y": 2}}
    after = await becomes(media={"video": {"state": "on"}})
    assert after["media"]["audio"] == {"state": "on"}, "a kind that is not named stays as it is"
    after = await becomes(media={"video": None})
    after = await becomes(media={"audio": None, "screen": {"state": "muted"}})
    assert after["media"] == {"audio": {"state": "off"}, "video": {"state": "off"}, "screen": {"state": "muted"}}
    assert (await becomes(name="Al"))["name"] == "Al"
    assert (await becomes(name=None))["name"] == "Alice A."
    for metadata in ({"k": "x" * 1024}, {"k": "😀" * 256}):
        assert (await alice.ask("update_self", metadata=metadata))["code"] == "too_large"
    assert (await alice.ask("update_self"))["type"] == "ok", "nothing is a change of nothing"
    refused: tuple[dict[str, object], ...]
    refused = {"name": "x" * 129}, {"media": {"audio": "on"}}, {"media": {"smell": {"state": "on"}}}, {"metadata": []}
    for change in refused:
        assert (await alice.ask("update_self", **change))["code"] == "bad_message"
    await bob.silence("user_updated", seconds=0)


async def test_mute_on_entry(system: System) -> None:
    """In such a room a newcomer's audio that is on becomes muted; what is off stays off."""
    await system.start()
    await rest(
        system,
        "owner",
        "POST",
        "/api/rooms",
        roomId="quiet",
        name="Quiet",
        type="voice",
        settings={"muteOnEntry": True},
    )
    loud, silent = await system.agent("loud"), await system.agent("silent")
    on = {"audio": {"state": "on"}, "video": {"state": "on"}}
    media = (await loud.join("quiet", media=on))["participants"][0]["media"]
    assert (media["audio"]["state"], media["video"]["state"]) == ("muted", "on")
    assert (await silent.join("quiet"))["participants"][1]["media"]["audio"]["state"] == "off"
    await loud.ask("update_self", media={"audio": {"state": "on"}})
    assert (await silent.hear("user_updated"))["participant"]["media"]["audio"]["state"] == "on"


async def test_several_rooms(system: System) -> None:
    """One connection may be in several, up to a limit; the roomId may be left out while there is exactly one."""
    await system.start(rooms_per_session=3)
    client = await system.agent("a")
    assert (await client.ask("leave_room"))["code"] == "not_in_room"
    await client.join("r1")
    assert (await client.ask("get_room"))["roomId"] == "r1"
    await client.join("r2")
    assert (await client.ask("get_room"))["code"] == "bad_message"
    assert (await client.ask("get_room", roomId="r2"))["roomId"] == "r2"
    await client.join("r3")
    assert (await client.ask("join_room", roomId="r4"))["code"] == "bad_state"
    assert (await client.ask("leave_room", roomId="r2"))["type"] == "ok"
    await client.join("r4")
    for room_id in ("r3", "r4"):
        await client.ask("leave_room", roomId=room_id)
    assert (await client.ask("leave_room"))["type"] == "ok"
    watcher = await system.agent("b")
    for room_id in ("r1", "r2", "r3"):
        assert (await watcher.join(room_id))["room"]["participantCount"] == 1


async def test_a_full_room(system: System) -> None:
    """One more than it holds is `room_full`, and nobody hears of it; a free seat can be taken."""
    await system.start(default_max_participants=2)
    alice, bob, carol = [await system.agent(name) for name in ("alice", "bob", "carol")]
    await alice.join("small")
    await bob.join("small")
    refused = await carol.ask("join_room", roomId="small")
    assert (refused["code"], refused["retryable"]) == ("room_full", False)
    await bob.ask("leave_room")
    await carol.join("small")
    await alice.ask("ping")
    assert [m["type"] for m in alice.everything if "revision" in m][1:] == ["user_joined", "user_left", "user_joined"]
