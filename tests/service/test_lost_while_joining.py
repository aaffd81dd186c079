"""The log goes while somebody comes in: nobody is left with a room whose changes it is not told."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Subscriber
from shared.broker.subjects import READ_SNAPSHOT
from shared.rooms.commands import ReadSnapshot
from shared.rooms.roster import Snapshot
from shared.values.errors import Refused
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import Position
from tests.service.test_lost_streams import backed_up
from tests.support.broker_kind import on_both
from tests.support.lost import lose_log
from tests.support.patience import eventually
from tests.support.shared_nats import SharedNats
from tests.support.system import System, token

ROOM = RoomId("voice-1")
SOON = 10.0


@dataclass
class Session:
    """What a session heard of its room."""

    frames: list[bytes] = field(default_factory=list)
    lost: bool = False

    def send_frame(self, frame: bytes) -> None:
        """See Receiver."""
        self.frames.append(frame)

    def participation_ended(self, room_id: RoomId, reason: str | None) -> None:
        """See Receiver."""
        raise AssertionError(f"out of {room_id}: {reason}")

    def room_lost(self, room_id: RoomId) -> None:
        """See Receiver."""
        assert room_id == ROOM
        self.lost = True

    def replaced(self) -> None:
        """See Receiver."""
        raise AssertionError("replaced")


def expected(feed: RoomFeed, name: str) -> tuple[Subscriber, Session]:
    """Rooms is being asked for its join."""
    session = Session()
    return feed.expect(ParticipantId(f"p_{name}"), session), session


@on_both
async def test_the_log_goes_back_while_somebody_comes_in(system: System, shared_nats: SharedNats) -> None:
    """Who was about to be shown the room as it was before is asked to come again: between that and what the gateway knows
    next there may be changes that nobody would tell it. Who still waits for rooms is told nothing of what is gone."""
    await system.start()
    alice = await system.agent("alice")
    await alice.join(ROOM)
    back_to = await backed_up(system, shared_nats)
    feeds, requests = system.gateways[0].context.feeds, system.gateways[0].context.ports.requests
    feed = await feeds.hold(ROOM)
    waiting, seated, caught_up = (expected(feed, name) for name in ("waiting", "seated", "caught_up"))
    for name in ("1", "2"):
        await alice.ask("update_self", name=name)
    shown = await requests.request(READ_SNAPSHOT, ReadSnapshot(room_id=ROOM))
    await feed.reached(shown)
    for subscriber, _ in (seated, caught_up):
        subscriber.seat(Position(shown.sequence))
    caught_up[0].catch_up(Position(shown.sequence))
    await lose_log(system.ports[0], shared_nats, back_to)

    await eventually(lambda: seated[1].lost and caught_up[1].lost, "who was about to be in is told", within=SOON)
    assert not waiting[1].lost
    anew = await shown_anew(system)
    await feed.reached(anew)
    waiting[0].seat(Position(anew.sequence))
    waiting[0].catch_up(Position(anew.sequence))
    waiting[0].go_live()
    assert waiting[1].frames == []
    feeds.release(feed)


@on_both
async def test_what_the_log_before_had_says_nothing_of_this_one(system: System, shared_nats: SharedNats) -> None:
    """A gateway that has more of the log before waits for the room as the log has it now."""
    await system.start()
    alice = await system.agent("alice")
    await alice.join(ROOM)
    back_to = await backed_up(system, shared_nats)
    for name in ("1", "2", "3"):
        await alice.ask("update_self", name=name)
    context = system.gateways[0].context
    feed = await context.feeds.hold(ROOM)
    before = feed.replica.incarnation
    await lose_log(system.ports[0], shared_nats, back_to)

    await eventually(lambda: context.ports.room_log.incarnation != before, "the gateway sees it", within=SOON)
    anew = await shown_anew(system)
    await feed.reached(anew)
    assert feed.replica.incarnation == anew.incarnation != before
    context.feeds.release(feed)


@on_both
async def test_a_gateway_that_does_not_know_yet(system: System) -> None:
    """Its replica is ahead of a log that went back, and neither the gateway nor rooms has seen that: who comes in has a
    seat that the gateway does not find. It must not be silent about it: the client comes again, and is in."""
    await system.start()
    await (await system.agent("alice")).join(ROOM)
    context = system.gateways[0].context
    feed = await context.feeds.hold(ROOM)
    assert feed.replica.roster is not None
    feed.replica.roster.sequence = Position(feed.replica.roster.sequence + 1000)
    bob = await system.client()
    opened = await bob.login(token("bob"))
    seen = await bob.join(ROOM)
    assert (await bob.hear("go_away"))["reason"] == "room_lost"
    assert await bob.closed() == 1012
    feed.lose()  # now it knows
    context.feeds.release(feed)
    again = await system.client()
    resume = {"token": opened["resumeToken"], "cursors": {ROOM: seen["cursor"]}}
    assert (await again.ask("authenticate", token=token("bob"), resume=resume))["resumed"]
    assert (await again.ask("update_self", name="here"))["type"] == "ok"
    while (await again.hear("user_updated"))["participant"]["name"] != "here":
        pass


async def shown_anew(system: System) -> Snapshot:
    """The room, as rooms has it once it has seen that the log is another one."""
    ports = system.gateways[0].context.ports
    async with asyncio.timeout(SOON):
        while True:
            with contextlib.suppress(Refused):
                snapshot = await ports.requests.request(READ_SNAPSHOT, ReadSnapshot(room_id=ROOM))
                if snapshot.incarnation == ports.room_log.incarnation:
                    return snapshot
            await asyncio.sleep(0.05)
