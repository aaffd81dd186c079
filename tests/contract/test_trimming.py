"""Rooms trims a room's log, on both adapters: with the rights that its NATS user has, and with nothing of the old log left."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from shared.broker import subjects
from shared.broker.log import Conflict
from shared.broker.ports import Ports
from shared.broker.room_log import StateDraft, StoredEvents, StoredState
from shared.broker.subjects import event_log, room_log
from shared.rooms.roster import SNAPSHOT_FOLD
from shared.telemetry import metrics
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from shared.values.position import NOWHERE, Position
from tests.support.invariants import check_entries
from tests.support.logs import Ear, begin
from tests.support.orders import ROOM, create, grant, join, leave, update
from tests.support.patience import eventually
from tests.support.trimming import TrimmingReplica

Connect = Callable[[str], Awaitable[Ports]]
A, B = RoomId("room-a"), RoomId("room-b")


async def test_a_log_is_trimmed_up_to_a_position(connect: Connect) -> None:
    """What is below goes and what is at it stays, of this subject alone; what is not there is no obstacle. An emptied
    subject begins anew.
    """
    rooms = await connect("rooms")
    first = await begin(rooms, A)
    state = await rooms.room_log.append(subjects.state_log(A), StateDraft(b"{}"), after=NOWHERE)
    second = await begin(rooms, A, after=first)
    third = await begin(rooms, A, after=second)
    other = await begin(rooms, B)

    async def left(subject: str) -> list[Position]:
        return [entry.position for entry in await rooms.room_log.read(subject, limit=10)]

    for before in (NOWHERE, first, Position(second + 1), Position(second + 1), second):
        await rooms.room_log.trim(event_log(A), before=before)
        assert await left(event_log(A)) == ([first, second, third] if before <= first else [third])
    await rooms.room_log.trim(subjects.state_log(A), before=third)
    assert await left(subjects.room_log(A)) == [third]
    assert await left(event_log(B)) == [other]
    await rooms.room_log.trim(subjects.state_log(A), before=other)
    assert await rooms.room_log.position(subjects.state_log(A)) == NOWHERE
    again = await rooms.room_log.append(subjects.state_log(A), StateDraft(b"{}"), after=NOWHERE)
    assert again > state
    await rooms.room_log.trim(event_log(A), before=Position(third + 1))
    assert await rooms.room_log.last([event_log(A)]) == []
    with pytest.raises(Conflict):
        await begin(rooms, A, after=third)
    assert await begin(rooms, A) > again


async def test_a_private_state_is_read_as_it_was_written(connect: Connect) -> None:
    """On a subject of its own, which is none of the events."""
    rooms = await connect("rooms")
    at = await rooms.room_log.append(subjects.state_log(A), StateDraft(b'{"who":"only rooms"}'), after=NOWHERE)
    (stored,) = await rooms.room_log.read(subjects.state_log(A), limit=10)
    assert stored == StoredState(at, A, b'{"who":"only rooms"}')
    assert await rooms.room_log.read(event_log(A), limit=10) == []
    with pytest.raises(Conflict):
        await rooms.room_log.append(subjects.state_log(A), StateDraft(b"{}"), after=NOWHERE)


async def test_a_room_goes_on_from_what_is_left(connect: Connect) -> None:
    """One entry and its state are left; another replica has the whole room by them, a gateway that follows hears every
    event without a word of stray messages (of NATS' gateways none hears the state), and the room goes on where it was.
    """
    rooms, gateway = TrimmingReplica(await connect("rooms")), await connect("gateway")
    ear, strays = Ear(), metrics.BROKER_ERRORS.labels("stray_message")._value.get()
    following = await gateway.room_log.follow(room_log(ROOM), ear.receive, ear.miss)
    before = (await rooms.do(create(), join("a", grant=grant("a")), join("b"))).snapshot(whole=True)
    await rooms.trim()
    (left,) = await rooms.entries()
    assert isinstance(left, StoredEvents)
    checkpoint = left.entry().checkpoint
    assert checkpoint is not None
    assert (checkpoint.as_of, checkpoint.after, checkpoint.fold_version) == (3, before.sequence, SNAPSHOT_FOLD)
    assert await rooms.states() == [checkpoint.state]
    other = TrimmingReplica(await connect("rooms"))
    assert (await other.log.load(ROOM)).snapshot(whole=True) == before.model_copy(update={"sequence": left.position})
    with pytest.raises(Refused) as caught:
        await other.do(join("a", n=2, grant=grant("a")))
    assert caught.value.code is Code.FORBIDDEN
    assert (await other.do(join("c"))).revision == 4
    assert (await rooms.do(join("d"))).revision == 5

    def heard() -> list[object]:
        return [entry for entry in ear.heard if not isinstance(entry, StoredState)]

    await eventually(lambda: len(heard()) == 6, "the gateway heard everything")
    assert {type(entry) for entry in heard()} == {StoredEvents}
    assert metrics.BROKER_ERRORS.labels("stray_message")._value.get() == strays
    await following.stop()


async def test_the_public_half_says_nothing_of_the_private_one(connect: Connect) -> None:
    """What observers can read has no session, gateway, operation or join token."""
    rooms = TrimmingReplica(await connect("rooms"))
    await rooms.do(create(), join("a", grant=grant("a", key="k-secret")), join("b"), leave("p_b_1"))
    await rooms.look(after=1)
    entry = (await rooms.entries())[-1]
    assert isinstance(entry, StoredEvents)
    (event,) = json.loads(entry.body)
    assert set(event["data"]) == {"foldVersion", "asOf", "after", "state", "room", "participants"}
    assert "revision" not in event["data"]
    for secret in ("k-secret", "s_a_1", "s_b_1", '"g1"', "create-voice-1"):
        assert secret not in entry.body.decode()
        assert secret not in json.dumps(dict(entry._headers))
    states = [one for one in await rooms.ports.room_log.read(room_log(ROOM), limit=99) if isinstance(one, StoredState)]
    assert all(secret in states[-1].body.decode() for secret in ("k-secret", "s_a_1", "s_b_1", "create-voice-1"))


async def test_trims_follow_each_other(connect: Connect) -> None:
    """Of many trims one snapshot and one state are left: the log does not grow by them."""
    rooms = TrimmingReplica(await connect("rooms"))
    await rooms.do(create(), join("a"))
    for turn in range(4):
        fold = await rooms.do(update("p_a_1", f"u{turn}", name=f"A {turn}"))
        await rooms.trim()
        assert (len(await rooms.entries()), len(await rooms.states())) == (1, 1)
    assert fold.revision == 6
    assert (await TrimmingReplica(await connect("rooms")).log.load(ROOM)).revision == 6


async def test_two_replicas_trim_at_once_while_both_change_the_room(connect: Connect) -> None:
    """Whoever loses gives way or goes on behind the other's snapshot: the log stays one that can be folded, no change is
    lost, and no state is left that no snapshot names.
    """
    one, two = TrimmingReplica(await connect("rooms")), TrimmingReplica(await connect("rooms"))
    ear = Ear()
    gateway = await connect("gateway")
    following = await gateway.room_log.follow(room_log(ROOM), ear.receive, ear.miss)
    await one.do(create(), join("a"), join("b"))
    for turn in range(6):
        for replica in (one, two):
            replica.now += 61
        await asyncio.gather(
            one.look(),
            two.look(),
            one.do(update("p_a_1", f"a{turn}", name=f"A {turn}")),
            two.do(update("p_b_1", f"b{turn}", name=f"B {turn}")),
        )
    fold = await one.do(leave("p_b_1"))
    await eventually(ear.hears(fold.sequence), "all is heard")
    heard = [entry.entry() for entry in ear.heard if isinstance(entry, StoredEvents)]
    whole = check_entries(ROOM, [entry for entry in heard if entry.checkpoint is None])
    assert (whole.revision, list(whole.seats)) == (3 + 12 + 1, ["p_a_1"])
    assert any(entry.checkpoint for entry in heard)
    await one.trim()
    await one.look(after=61)
    assert (len(await one.entries()), len(await two.states())) == (1, 1)
    assert (await TrimmingReplica(await connect("rooms")).log.load(ROOM)).revision == whole.revision
    await following.stop()
