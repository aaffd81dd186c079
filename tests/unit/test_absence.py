"""The rules of absence: seats that are held, given up in the end, and taken to another gateway."""

from collections.abc import Callable

import pytest

from services.rooms.deadlines import LATE_SECONDS, GatewayLost
from services.rooms.decision import RoomInput
from shared.rooms.commands import DropParticipant
from shared.rooms.roster import DEPARTED_SECONDS, Departure
from shared.values import moment
from shared.values.errors import Code
from shared.values.ids import GatewayId, ParticipantId
from tests.support.absence import G1, G2, GRACE, RULES, drop, grace, nothing, refusal, resume, room_of
from tests.support.orders import NOW, ROOM, LoggedRoom, caller, close, create, join, leave, told, update

AWAY, BACK = "reconnecting", "connected"


# -- away --------------------------------------------------------------------------------------------------------------


def test_a_seat_is_held_for_who_is_away() -> None:
    """The others see `reconnecting`, in place, and the grace begins: a timer for this participant at this epoch."""
    room = room_of("a", "b")
    room.now += 5
    done = room.do(drop("a"))
    assert told(done) == [("participant_updated", "p_a_1", None)]
    assert done.timers == [grace("a", room.now + GRACE)]
    seat = room.seat("p_a_1")
    assert (seat.participant.connection, seat.gateway, seat.epoch) == (AWAY, G1, 1)
    assert seat.dropped_at == moment.rfc3339(room.now)
    assert room.seat("p_b_1").participant.connection == BACK
    assert list(room.fold.seats) == ["p_a_1", "p_b_1"]


def test_dropped_twice() -> None:
    """Who is away already is not dropped again, and its grace is not longer."""
    room = room_of("a", "b")
    room.do(drop("a"))
    room.now += 20
    assert nothing(room.do(drop("a")))
    assert told(room.do(GatewayLost(ROOM, G1))) == [("participant_updated", "p_b_1", None)]
    assert nothing(room.do(drop("b")))


@pytest.mark.parametrize(
    "command", [drop("a", G2), drop("a", epoch=0), drop("a", epoch=2), drop("stranger"), drop("b")]
)
def test_only_the_newest_connection_can_be_gone(command: DropParticipant) -> None:
    """A drop by another gateway, with another epoch, or of a session without a seat is `not_in_room`."""
    room = room_of("a", "b")
    room.do(leave("p_b_1"))
    assert refusal(room, command).code is Code.NOT_IN_ROOM
    assert room.seat("p_a_1").participant.connection == BACK


def test_a_late_drop_does_not_hurt_who_came_back() -> None:
    """After a resume, the drop of the connection before is refused; also when both were on one gateway."""
    for gateway in (G1, G2):
        room = room_of("a")
        room.do(resume("a", gateway))
        assert refusal(room, drop("a", G1, epoch=1)).code is Code.NOT_IN_ROOM
        assert room.seat("p_a_1").participant.connection == BACK


def test_a_drop_without_an_epoch_means_any() -> None:
    """A gateway that does not know what became of a resume drops whatever seat the session has there."""
    room = room_of("a")
    room.do(resume("a", G2))
    assert refusal(room, drop("a", G1, epoch=None)).code is Code.NOT_IN_ROOM
    done = room.do(drop("a", G2, epoch=None))
    assert done.timers == [grace("a", room.now + GRACE, epoch=2)]


def test_who_is_away_still_sits() -> None:
    """It counts, keeps its device's place, and can be replaced by it."""
    room = LoggedRoom(create(max_participants=1), join("a"), rules=RULES)
    room.do(drop("a"))
    assert refusal(room, join("b")).code is Code.ROOM_FULL
    assert told(room.do(join("a", n=2))) == [
        ("participant_left", "p_a_1", "replaced"),
        ("participant_joined", "p_a_2", None),
    ]
    assert nothing(room.do(grace("a", room.now)))


# -- the end of the grace ----------------------------------------------------------------------------------------------


def test_who_does_not_come_back_leaves() -> None:
    """When the grace is over the participant leaves with `timeout`, once."""
    room = room_of("a", "b")
    room.do(drop("a"))
    room.now += GRACE
    done = room.do(grace("a", room.now))
    assert told(done) == [("participant_left", "p_a_1", "timeout")]
    assert list(room.fold.seats) == ["p_b_1"]
    assert nothing(room.do(grace("a", room.now)))


@pytest.mark.parametrize(
    "meanwhile",
    [
        [resume("a")],
        [resume("a"), drop("a", G2, epoch=2)],  # away again: that grace has a timer of its own
        [leave("p_a_1")],
        [join("a", n=2)],
        [close()],
    ],
    ids=["came back", "away again", "left", "replaced", "closed"],
)
def test_the_timer_of_another_absence(meanwhile: list[RoomInput]) -> None:
    """A grace timer whose absence is over does nothing."""
    room = room_of("a")
    room.do(drop("a"))
    for command in meanwhile:
        room.do(command)
    room.now += GRACE
    assert nothing(room.do(grace("a", room.now)))


def test_the_second_absence_ends_too() -> None:
    """Each absence has its own grace, whose timer the other one's cannot replace."""
    room = room_of("a")
    first = room.do(drop("a")).timers[0]
    room.do(resume("a"))
    room.now += 10
    second = room.do(drop("a", G2, epoch=2)).timers[0]
    assert second.due == room.now + GRACE
    room.now += GRACE
    assert nothing(room.do(grace("a", first.due)))
    assert told(room.do(grace("a", second.due, epoch=2))) == [("participant_left", "p_a_1", "timeout")]


@pytest.mark.parametrize("late", [LATE_SECONDS + 0.1, 86400.0])
def test_a_grace_that_ends_too_late(late: float) -> None:
    """When broker or rooms were away, coming back was not possible: nobody leaves, and there is a fresh grace."""
    room = room_of("a")
    room.do(drop("a"))
    due = room.now + GRACE
    room.now = due + late
    done = room.do(grace("a", due))
    assert done.events == []
    assert done.timers == [grace("a", room.now + GRACE)]
    room.now += GRACE + LATE_SECONDS
    assert told(room.do(grace("a", room.now - LATE_SECONDS))) == [("participant_left", "p_a_1", "timeout")]


# -- a gateway that is lost --------------------------------------------------------------------------------------------


def test_a_lost_gateway_drops_its_participants() -> None:
    """Exactly its own, those that were still there, all in one entry; each gets its own grace."""
    room = room_of("a", "b", "c")
    room.do(join("d", gateway=G2))
    room.do(resume("b", G2))
    room.do(drop("c"))
    room.do(join("e"))
    done = room.do(GatewayLost(ROOM, G1))
    assert told(done) == [("participant_updated", "p_a_1", None), ("participant_updated", "p_e_1", None)]
    assert done.timers == [grace("a", room.now + GRACE), grace("e", room.now + GRACE)]
    states = {name: seat.participant.connection for name, seat in room.fold.seats.items()}
    assert states == {"p_a_1": AWAY, "p_b_1": BACK, "p_c_1": AWAY, "p_d_1": BACK, "p_e_1": AWAY}
    assert room.seat("p_a_1").dropped_at == moment.rfc3339(room.now)


def test_a_gateway_is_lost_again() -> None:
    """The second look finds nobody, or whoever joined by the lost gateway meanwhile."""
    room = room_of("a")
    room.do(GatewayLost(ROOM, G1))
    assert nothing(room.do(GatewayLost(ROOM, G1)))
    room.do(join("late"))
    assert told(room.do(GatewayLost(ROOM, G1))) == [("participant_updated", "p_late_1", None)]


def test_a_gateway_without_participants_is_lost() -> None:
    """In rooms that were never made, are empty, closed, or others', nothing happens."""
    rooms = [LoggedRoom(), room_of(), LoggedRoom(create(), join("a"), close()), LoggedRoom(create(), join("a"))]
    for room, gateway in zip(rooms, (G1, G1, G1, G2), strict=True):
        assert nothing(room.do(GatewayLost(ROOM, gateway)))


# -- coming back -------------------------------------------------------------------------------------------------------


def test_who_comes_back_has_its_seat() -> None:
    """Connected again, by way of the new gateway, with an epoch one higher; all else is as it was."""
    room = room_of("a", "b")
    room.do(update("p_a_1", name="Ann", metadata={"hand": True}))
    room.do(drop("a"))
    before = room.seat("p_a_1")
    room.now += 10
    done = room.do(resume("a"))
    assert told(done) == [("participant_updated", "p_a_1", None)]
    assert done.timers == []
    seat = room.seat("p_a_1")
    assert seat.participant == before.participant.model_copy(update={"connection": BACK})
    assert (seat.session, seat.gateway, seat.epoch) == (before.session, G2, 2)
    assert seat.dropped_at == moment.rfc3339(room.now - 10), "since when it was away"


def test_coming_back_before_anybody_noticed() -> None:
    """A seat that nobody dropped moves as well; then the log cannot say since when the connection was gone."""
    room = room_of("a")
    for n in range(2, 5):
        room.do(resume("a", GatewayId(f"g{n}"), f"r{n}"))
        seat = room.seat("p_a_1")
        assert (seat.gateway, seat.epoch, seat.dropped_at) == (f"g{n}", n, None)
    room.do(drop("a", GatewayId("g4"), epoch=4))
    room.do(resume("a", G1, "r5"))
    room.do(resume("a", G2, "r6"))
    assert room.seat("p_a_1").dropped_at is None, "the last move had no absence before it"


def test_a_repeated_resume_has_no_second_effect() -> None:
    """The same operation again, also past its deadline, changes nothing; another one moves the seat on."""
    room = room_of("a")
    once = resume("a", deadline=room.now + 5)
    room.do(once)
    room.now += 10
    assert nothing(room.do(once))
    assert room.seat("p_a_1").epoch == 2
    room.do(resume("a", G1, "r2"))
    assert nothing(room.do(once)), "an old one that comes late takes nothing back"
    assert (room.seat("p_a_1").gateway, room.seat("p_a_1").epoch) == (G1, 3)


def test_a_resume_that_comes_too_late() -> None:
    """Past its deadline it is refused, as its client was told that it failed."""
    room = room_of("a")
    assert refusal(room, resume("a", deadline=room.now - 0.1)).code is Code.UNAVAILABLE
    room.do(resume("a", deadline=room.now))


def test_somebody_elses_seat() -> None:
    """Another agent with the session's key, however it came by that, is refused."""
    room = room_of("a")
    mallory = resume("a").model_copy(update={"caller": caller("mallory", "rooms:manage", "rooms:join")})
    assert refusal(room, mallory).code is Code.FORBIDDEN
    assert room.seat("p_a_1").epoch == 1


ENDINGS: list[tuple[str, list[RoomInput | Callable[[float], RoomInput]]]] = [
    ("left", [leave("p_a_1")]),
    ("timeout", [drop("a"), lambda now: grace("a", now)]),
    ("replaced", [join("a", n=2)]),
    ("room_closed", [close()]),
    ("token_expired", [leave("p_a_1", reason="token_expired")]),
]


@pytest.mark.parametrize(("reason", "commands"), ENDINGS, ids=[reason for reason, _ in ENDINGS])
def test_a_seat_that_is_gone(reason: str, commands: list[RoomInput | Callable[[float], RoomInput]]) -> None:
    """Whoever comes back to it is told how the stay ended: at which entry, when, and why."""
    room = room_of("a", "b")
    for command in commands:
        done = room.do(command(room.now) if callable(command) else command)
    left = next(event for event in done.events if event.type == "participant_left")
    entry = len(room.log)
    room.now += 5
    if room.fold.closed is None:
        room.do(update("p_b_1", name="Bob"))
    refused = refusal(room, resume("a"))
    assert refused.code is Code.NOT_IN_ROOM
    assert Departure.model_validate(refused.details) == Departure(
        participant_id=ParticipantId("p_a_1"),
        agent_id=caller("a").agent_id,
        reason=reason,
        revision=left.change.revision,
        sequence=entry,
        at=NOW,
    )


def test_departures_are_forgotten() -> None:
    """Who comes back long afterwards, or never was here, is told `not_in_room` without a reason."""
    room = room_of("a", "b", "c")
    room.do(leave("p_a_1"))
    room.now += DEPARTED_SECONDS + 1
    assert refusal(room, resume("a")).details, "as long as nobody else leaves it is still known"
    room.do(leave("p_b_1"))
    assert refusal(room, resume("a")).details == {}
    assert refusal(room, resume("b")).details
    assert refusal(room, resume("stranger")).details == {}
    assert refusal(LoggedRoom(), resume("a")).details == {}
