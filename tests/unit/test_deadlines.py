"""What time does to a room: it has lasted long enough, it stays empty, its log was kept long enough."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.rooms.deadlines import EARLY_SECONDS, GatewayLost
from services.rooms.decision import Decision, RoomInput
from shared.rooms.model import RoomSettings
from shared.rooms.timers import LogKept, RoomEmpty, RoomEnds, Timer, decode, encode
from shared.values.errors import Code
from tests.support.absence import G1, GRACE, RULES, drop, grace, nothing, refusal, room_of
from tests.support.orders import NOW, ROOM, LoggedRoom, close, create, join, leave, told, update_room


def empty(due: float) -> RoomEmpty:
    return RoomEmpty(due=due, room_id=ROOM)


def ends(due: float) -> RoomEnds:
    return RoomEnds(due=due, room_id=ROOM)


# -- the longest a room may last ---------------------------------------------------------------------------------------


MINUTES = RoomSettings(max_duration=10)


def ends_of(decision: Decision) -> list[float]:
    """When the room's end is to be looked at."""
    return [timer.due for timer in decision.timers if isinstance(timer, RoomEnds)]


def test_the_clock_starts_with_the_first_join() -> None:
    """`maxDuration` counts from the first participant ever; an empty room does not age, later joins change nothing."""
    room = LoggedRoom(rules=RULES)
    assert ends_of(room.do(create(settings=MINUTES))) == []
    room.now += 1000
    assert ends_of(room.do(join("a"))) == [room.now + 600]
    assert ends_of(room.do(leave("p_a_1"))) == []
    assert ends_of(room.do(join("a", n=2))) == []


def test_a_room_without_end() -> None:
    """Without `maxDuration` no clock starts, and one that was started earlier finds nothing to do."""
    room = room_of("a")
    assert ends_of(room.do(join("b"))) == []
    room = room_of("a", settings=MINUTES)
    assert ends_of(room.do(update_room(settings={"maxDuration": None}))) == []
    room.now += 600
    assert nothing(room.do(ends(room.now)))


def test_changed_settings_set_the_clock_anew() -> None:
    """A longer, a shorter and a new `maxDuration` count from the first join all the same; before it nothing counts."""
    room = LoggedRoom(create(), update_room(operation="r0", settings={"maxDuration": 5}), rules=RULES)
    assert ends_of(room.do(update_room(operation="r1", settings={"maxDuration": 10}))) == []
    started = room.now = NOW + 100
    room.do(join("a"))
    room.now += 60
    for n, minutes in enumerate((60, 5, 1), 2):
        assert ends_of(room.do(update_room(operation=f"r{n}", settings={"maxDuration": minutes}))) == [
            started + 60 * minutes
        ]


def test_a_room_closes_when_its_time_is_over() -> None:
    """Everyone leaves with `room_closed`, those who are away too, then it closes with `max_duration`: one entry."""
    room = room_of("a", "b", settings=MINUTES)
    room.do(drop("b"))
    room.now += 600
    done = room.do(ends(room.now))
    assert told(done) == [
        ("participant_left", "p_a_1", "room_closed"),
        ("participant_left", "p_b_1", "room_closed"),
        ("closed", None, "max_duration"),
    ]
    assert {event.change.by for event in done.events} == {None}
    assert nothing(room.do(ends(room.now)))
    assert refusal(room, join("c")).code is Code.ROOM_CLOSED


def test_a_timer_from_before_the_change() -> None:
    """One that comes before the room's end does not close it, and sees to it that another one comes."""
    room = room_of("a", settings=MINUTES)
    room.do(update_room(settings={"maxDuration": 60}))
    room.now += 600
    done = room.do(ends(room.now))
    assert (done.events, done.timers) == ([], [ends(NOW + 3600)])


def test_clocks_differ_a_little() -> None:
    """A timer that fires by a clock slightly ahead closes the room, instead of being armed again and again."""
    room = room_of("a", settings=MINUTES)
    room.now += 600 - EARLY_SECONDS / 2
    assert told(room.do(ends(room.now)))[-1] == ("closed", None, "max_duration")


def test_the_end_of_a_room_where_nobody_ever_was() -> None:
    """Unknown rooms, rooms without a first join and closed rooms do not end by their timer."""
    rooms = [LoggedRoom(), room_of(settings=MINUTES), LoggedRoom(create(settings=MINUTES), join("a"), close())]
    for room in rooms:
        room.now += 10000
        assert nothing(room.do(ends(room.now)))


# -- nobody there ------------------------------------------------------------------------------------------------------


def empties_of(decision: Decision) -> list[float]:
    """When it is to be looked at whether the room is still empty."""
    return [timer.due for timer in decision.timers if isinstance(timer, RoomEmpty)]


def test_the_clock_of_an_empty_room() -> None:
    """It starts when the room is made and when the last one leaves, however that comes; not while somebody sits there."""
    room = LoggedRoom(rules=RULES)
    assert empties_of(room.do(create())) == [NOW + 3600]
    calm: list[RoomInput] = [join("b"), join("a"), leave("p_b_1"), join("a", n=2), join("c"), leave("p_a_2"), drop("c")]
    for command in (*calm, update_room(name="x")):
        room.now += 1
        assert empties_of(room.do(command)) == []
    room.now += GRACE
    assert empties_of(room.do(grace("c", room.now))) == [room.now + 3600]


def test_a_join_that_makes_its_room() -> None:
    """Such a room was never empty."""
    room = LoggedRoom(rules=replace(RULES, creates_on_join=True))
    assert room.do(join("a")).timers == []


def test_an_empty_room_closes() -> None:
    """Never joined, or left by the last one: after the set time it closes with `empty`."""
    stays: list[list[RoomInput]] = [[], [join("a"), leave("p_a_1")]]
    for commands in stays:
        room = LoggedRoom(create(), *commands, rules=RULES)
        room.now += 3600
        done = room.do(empty(room.now))
        assert told(done) == [("closed", None, "empty")]
        assert nothing(room.do(empty(room.now)))


def test_a_room_is_empty_again() -> None:
    """The time counts from the last leave: an older timer does not close it, and sees to it that another one comes."""
    room = room_of("a")
    room.now += 1800
    room.do(leave("p_a_1"))
    assert empties_of(room.do(update_room(name="somebody looks after it"))) == []
    room.now += 1800
    done = room.do(empty(room.now))
    assert (done.events, done.timers) == ([], [empty(NOW + 1800 + 3600)])
    room.now += 1800
    assert told(room.do(empty(room.now))) == [("closed", None, "empty")]


def test_a_room_with_somebody_in_it_is_not_empty() -> None:
    """Also not when all of them are away."""
    room = room_of("a")
    room.do(drop("a"))
    room.now += 10000
    assert nothing(room.do(empty(room.now)))


def test_rooms_that_may_stay_empty() -> None:
    """With 0 no clock starts, and one that was started under other settings finds nothing to do."""
    room = LoggedRoom(rules=replace(RULES, empty_room_seconds=0))
    assert room.do(create()).timers == []
    room.do(join("a"))
    assert room.do(leave("p_a_1")).timers == []
    room.now += 10000
    assert nothing(room.do(empty(room.now)))


def test_unknown_and_closed_rooms_are_not_empty() -> None:
    """There is nothing to close."""
    for room in (LoggedRoom(rules=RULES), LoggedRoom(create(), close(), rules=RULES)):
        room.now += 10000
        assert nothing(room.do(empty(room.now)))


# -- afterwards --------------------------------------------------------------------------------------------------------


CLOSING: list[tuple[str, list[RoomInput], Callable[[float], RoomInput]]] = [
    ("deleted", [], lambda _: close()),
    ("empty", [leave("p_a_1")], empty),
    ("max_duration", [], ends),
]


@pytest.mark.parametrize(("reason", "before", "closing"), CLOSING, ids=[reason for reason, *_ in CLOSING])
def test_the_log_of_a_closed_room_is_kept_for_a_while(
    reason: str, before: list[RoomInput], closing: Callable[[float], RoomInput]
) -> None:
    """However it closed, one timer remains: when its log may go. With 0 it stays for ever."""
    for seconds in (86400.0, 0.0):
        room = room_of("a", settings=MINUTES, rules=replace(RULES, closed_log_seconds=seconds))
        for command in before:
            room.do(command)
        room.now += 3600
        done = room.do(closing(room.now))
        assert told(done)[-1] == ("closed", None, reason)
        kept: list[Timer] = [LogKept(due=room.now + seconds, room_id=ROOM)] if seconds else []
        assert done.timers == kept


def test_timers_outlive_the_version_that_armed_them() -> None:
    """What a decision arms can be stored and read; the names of different absences and rooms are different."""
    room = room_of("a", "b", settings=MINUTES)
    timers = [*room.do(GatewayLost(ROOM, G1)).timers, *room.do(close()).timers, empty(NOW), ends(NOW)]
    assert [decode(encode(timer)) for timer in timers] == timers
    assert len({timer.name for timer in timers}) == len(timers)
