"""A subscriber's phases: what waits for its snapshot, what is in it already, and the order of all that."""

import pytest

from services.gateway.replica.replica import Delivery
from services.gateway.replica.subscriber import HELD_FRAMES, Phase, Subscriber
from shared.values.cursor import Cursor
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import Position

ME, OTHER = ParticipantId("p_me"), ParticipantId("p_other")


class Client:
    """What it was sent, in order."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send_frame(self, frame: bytes) -> None:
        """See Receiver."""
        self.frames.append(frame)

    def participation_ended(self, room_id: RoomId, reason: str | None) -> None:
        """See Receiver."""

    def room_lost(self, room_id: RoomId) -> None:
        """See Receiver."""

    def replaced(self) -> None:
        """See Receiver."""


def signal(at: int) -> Delivery:
    """One for it, at this position."""
    return Delivery(Position(at), ME, OTHER, 1, b"s%d" % at, Cursor("i", Position(at)))


def subscriber() -> tuple[Subscriber, Client]:
    """Of a signal it is sent the body, and up to where its client had been told of events."""
    client = Client()
    return Subscriber(ME, client, lambda item, after: b"%b after %d" % (item.body, after)), client


def test_what_is_committed_meanwhile_follows_the_snapshot() -> None:
    """First what was read from the log, then what came live above that; what the snapshot has is not said again."""
    one, client = subscriber()
    one.deliver(Position(4), b"in the snapshot")
    one.seat(Position(5))
    one.deliver(Position(7), b"live")
    one.deliver(Position(6), signal(6))
    one.catch_up(Position(6), [b"read"])
    one.deliver(Position(8), signal(8))
    assert client.frames == []
    one.go_live()
    one.deliver(Position(9), b"later")
    assert client.frames == [b"read", b"live", b"s8 after 6", b"later"]
    assert (one.phase, one.seated_at, one.told_up_to, one.last_signal_at) == (Phase.LIVE, 5, 6, 8)


def test_phases_follow_each_other() -> None:
    """None is left out and none comes twice: that would lose what was held, or say it twice."""
    one, _ = subscriber()
    for wrong in (one.go_live, lambda: one.catch_up(Position(1))):
        with pytest.raises(RuntimeError, match="not expecting"):
            wrong()
    one.seat(Position(1))
    with pytest.raises(RuntimeError, match="live when it is caught up, not seated"):
        one.go_live()
    one.catch_up(Position(1))
    one.go_live()
    with pytest.raises(RuntimeError):
        one.go_live()


def test_too_much_to_hold() -> None:
    """It says so, and holds no more."""
    one, client = subscriber()
    for at in range(HELD_FRAMES + 5):
        one.deliver(Position(at + 1), b"x")
    assert one.overflowed
    one.seat(Position(0))
    one.catch_up(Position(0))
    one.go_live()
    assert len(client.frames) == HELD_FRAMES
