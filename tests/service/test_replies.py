"""Each request has one reply: also sent again, without an id, and when the fault is ours."""

import pytest

from services.gateway.session.session import Session
from shared.broker.room_log import RoomEntry
from shared.broker.signals import Posted, Signal
from shared.values.errors import unavailable
from tests.support.broker_kind import in_memory
from tests.support.sdp import offer
from tests.support.system import System


async def test_one_reply_for_each_request(system: System) -> None:
    """Each id is answered exactly once. The same request again is answered again, without a second effect."""
    await system.start()
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("voice-1")
    me = await bob.join("voice-1")
    await alice.hear("user_joined")
    for _ in range(2):
        assert (await alice.ask("offer", id="o", to=me["self"], sdp=offer()))["type"] == "ok"
        assert (await alice.ask("update_self", id="u", name="Renamed"))["type"] == "ok"
        assert (await alice.ask("join_room", id="j", roomId="voice-1"))["type"] == "room_users"
        assert (await alice.ask("get_room", id="g"))["type"] == "room_users"
    taken = await alice.ask("update_self", id="u", name="Another")
    assert (taken["code"], taken["details"]) == ("bad_message", {})
    assert (await alice.ask("update_self", id="r", roomId="elsewhere", name="x"))["code"] == "not_in_room"
    await alice.join("elsewhere")
    assert (await alice.ask("update_self", id="r", roomId="elsewhere", name="x"))["type"] == "ok", "refused is not done"
    for _ in range(2):
        assert (await alice.ask("leave_room", id="l", roomId="voice-1"))["type"] == "ok"
    await bob.hear("user_left")
    heard = [m["type"] for m in bob.everything if m.get("roomId") == "voice-1"]
    assert heard == ["room_users", "offer", "user_updated", "user_left"]
    await alice.silence("ok")
    assert not [m for m in alice.inbox if "id" in m]


async def test_the_same_request_while_it_is_done(system: System) -> None:
    """Sent twice in a row without waiting: one effect, an answer for each."""
    await system.start()
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("voice-1")
    await bob.join("voice-1")
    for _ in range(5):
        await alice.say("update_self", id="u", name="Renamed")
    for _ in range(5):
        await alice.hear("ok", id="u")
    await bob.hear("user_updated")
    await bob.silence("user_updated")


async def test_without_an_id(system: System) -> None:
    """`ok` is not sent then; named replies are, and errors, which name type, receiver and room instead."""
    await system.start()
    client = await system.agent("a")
    await client.say("join_room", roomId="voice-1")
    assert "id" not in await client.hear("room_users")
    await client.say("update_self", name="x")
    await client.say("get_room")
    assert "id" not in await client.hear("room_users")
    await client.say("offer", to="p_nobody", roomId="voice-1", sdp=offer())
    error = await client.hear("error")
    assert "id" not in error
    assert error["code"] == "participant_not_found"
    assert error["details"] == {"type": "offer", "to": "p_nobody", "roomId": "voice-1"}
    await client.say("leave_room")
    await client.say("leave_room")
    assert (await client.hear("error"))["details"] == {"type": "leave_room"}
    await client.silence("ok", seconds=0)


async def test_signals_are_posted_once(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal whose acknowledgement got lost is `unavailable`; sent again under its id it arrives once."""
    await system.start()
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("voice-1")
    me = await bob.join("voice-1")
    await alice.hear("user_joined")
    signals = system.ports[2].signals
    post = signals.post

    async def lost(signal: Signal) -> Posted:
        await post(signal)
        raise unavailable("the log")

    monkeypatch.setattr(signals, "post", lost)
    assert (await alice.ask("offer", id="o", to=me["self"], sdp=offer()))["code"] == "unavailable"
    monkeypatch.undo()
    assert (await alice.ask("offer", id="o", to=me["self"], sdp=offer()))["type"] == "ok"
    await bob.hear("offer")
    await bob.silence("offer")


@in_memory
async def test_a_bug_is_internal(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody foresaw is answered with `internal`, tells nothing else, and the connection lives."""
    await system.start()
    client = await system.agent("a")

    async def broken(*_: object) -> list[RoomEntry]:
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr(system.ports[2].requests, "request", broken)
    reply = await client.ask("join_room", roomId="voice-1")
    assert reply["code"] == "internal"
    assert "secret" not in str(reply)
    monkeypatch.undo()
    await client.join("voice-1")


async def test_a_bug_of_ours_closes_with_1011(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks a session closes its connection with a code that says come back; others go on."""
    await system.start()
    broken, other = await system.client(), await system.agent("other")

    def breaks(self: Session, text: str) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(Session, "received", breaks)
        await broken.say("ping")
        assert await broken.closed() == 1011
    assert (await other.ask("ping"))["type"] == "pong"
