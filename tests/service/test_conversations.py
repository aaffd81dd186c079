"""Conversations of clients over real WebSockets, on the broker in memory and on real NATS."""

from tests.support.broker_kind import on_both
from tests.support.sdp import answer, candidate, offer
from tests.support.system import System, token

pytestmark = on_both


async def test_two_clients_find_each_other(system: System) -> None:
    """Who knows a room's name finds the other one there and can exchange offer, answer and candidates, verbatim."""
    await system.start()
    alice = await system.agent("alice")
    bob = await system.agent("bob")
    room = await alice.join("voice-1", name="Alice")
    assert [p["name"] for p in room["participants"]] == ["Alice"]
    assert room["room"]["participantCount"] == 1

    seen = await bob.join("voice-1")
    joined = await alice.hear("user_joined")
    assert joined["participant"]["id"] == seen["self"]
    assert joined["revision"] == seen["revision"]
    assert joined["cursor"] == seen["cursor"]

    sdp = offer()
    ok = await bob.ask("offer", to=room["self"], sdp=sdp, negotiation="n1")
    assert ok == {"type": "ok", "id": ok["id"]}
    heard = await alice.hear("offer")
    assert heard == {
        "type": "offer",
        "roomId": "voice-1",
        "from": seen["self"],
        "agentId": "bob",
        "sdp": sdp,
        "negotiation": "n1",
        "cursor": heard["cursor"],
    }
    await alice.ask("answer", to=seen["self"], sdp=answer())
    assert (await bob.hear("answer"))["sdp"] == answer()
    await bob.say("candidate", to=room["self"], candidate=candidate())
    assert (await alice.hear("candidate"))["candidate"] == candidate()
    await bob.say("candidate", to=room["self"], candidate=None)
    assert (await alice.hear("candidate"))["candidate"] is None

    assert (await bob.ask("leave_room"))["type"] == "ok"
    left = await alice.hear("user_left")
    assert (left["participantId"], left["reason"]) == (seen["self"], "left")


async def test_a_closed_socket_is_waited_for(system: System) -> None:
    """Whose connection is gone is seen as `reconnecting` at once, keeps its seat for the grace time, then has left."""
    await system.start(grace_seconds=1)
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("r")
    seen = await bob.join("r")
    await bob.close()
    away = (await alice.hear("user_updated"))["participant"]
    assert (away["id"], away["connection"]) == (seen["self"], "reconnecting")
    left = await alice.hear("user_left")
    assert (left["participantId"], left["reason"]) == (seen["self"], "timeout")


async def test_dev_token(system: System) -> None:
    """The token helper of these tests makes tokens that auth believes."""
    await system.start()
    client = await system.client()
    reply = await client.ask("authenticate", token=token("a"))
    assert reply["type"] == "auth_ok"
    assert reply["agentId"] == "a"
