"""What an entry's stamp says to our own services, who did it, and when: one row for each thing that happens to a room."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.rooms.deadlines import EARLY_SECONDS, GatewayLost
from services.rooms.decision import RoomInput
from shared.rooms.events import Stamp
from shared.rooms.model import RoomSettings
from shared.rooms.timers import RoomEmpty, RoomEnds
from shared.values import moment
from shared.values.errors import Code
from shared.values.ids import GatewayId, ParticipantId, SessionKey
from tests.support.absence import G1, G2, RULES, drop, grace, refusal, resume
from tests.support.orders import (
    NOW,
    ROOM,
    LoggedRoom,
    caller,
    close,
    create,
    grant,
    join,
    leave,
    told,
    update,
    update_room,
)

P, S = ParticipantId("p_ann_1"), SessionKey("s_ann_1")
IN = (create(settings=RoomSettings(max_duration=10)), join("ann", since=5.0))
AWAY = (*IN, drop("ann"))


@dataclass
class Case:
    """What was before, what is done, `later` seconds after it; the stamp, who did it."""

    before: tuple[RoomInput, ...]
    command: RoomInput
    stamp: Stamp
    by: str | None
    later: float = 1.0


def seated(operation: str, gateway: GatewayId = G1, epoch: int = 1, **fields: Any) -> Stamp:
    """Of an entry that (re)connects Ann."""
    return Stamp(operation, participant=P, session=S, gateway=gateway, epoch=epoch, **fields)


AGAIN = ParticipantId("p_ann_again")
CASES = {
    "a room is made": Case((), create(), Stamp("create-voice-1"), "owner"),
    "a room is changed": Case(IN, update_room(name="Other"), Stamp("r1"), "owner"),
    "a room is closed": Case(IN, close(), Stamp("c1"), "owner"),
    "somebody joins": Case(IN[:1], IN[1], seated(P, since=5.0), "ann"),
    "somebody joins with a token": Case(
        IN[:1], join("ann", grant=grant("ann")), seated(P, grant="k1", grant_until=int(NOW) + 60), "ann"
    ),
    "somebody joins from another connection": Case(
        IN,
        join("ann", participant_id=AGAIN, gateway=G2, since=6.0),
        seated(AGAIN, G2, 2, since=6.0, unheard_from=2),
        "ann",
    ),
    "somebody comes back": Case(
        AWAY, resume("ann").model_copy(update={"since": 6.0}), seated("r1", G2, 2, since=6.0), "ann"
    ),
    "somebody is away": Case(IN, drop("ann"), Stamp("drop:p_ann_1:1"), "ann"),
    "somebody says something of itself": Case(IN, update(P, name="A", asked_at=7.0), Stamp("u1", asked_at=7.0), "ann"),
    "somebody leaves": Case(IN, leave(P), Stamp("leave:p_ann_1", participant=P, epoch=1), "ann"),
    "somebody leaves and gives its token back": Case(
        (IN[0], join("ann", grant=grant("ann"))),
        leave(P, gives_back="k1"),
        Stamp("leave:p_ann_1", participant=P, epoch=1, grant="k1"),
        "ann",
    ),
    "a gateway is lost": Case(IN, GatewayLost(ROOM, G1), Stamp("lost:g1:2"), None),
    "a grace ends": Case(
        AWAY, grace("ann", NOW + 30), Stamp("timeout:p_ann_1", participant=P, epoch=1), None, later=30.0
    ),
    "a room has lasted long enough": Case(
        IN, RoomEnds(due=NOW + 600, room_id=ROOM), Stamp("max_duration:voice-1"), None, later=600.0
    ),
    "a room was empty for long enough": Case(
        (IN[0],), RoomEmpty(due=NOW + 3600, room_id=ROOM), Stamp("empty:voice-1"), None, later=3600.0
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_an_entry_says(case: Case) -> None:
    """The stamp is this and no more; every event has the time of the decision, and names who asked for it."""
    room = LoggedRoom(*case.before, rules=RULES)
    room.now += case.later
    decision = room.do(case.command)
    assert decision.stamp == case.stamp
    assert decision.events
    for event in decision.events:
        assert (event.time, event.change.by) == (moment.rfc3339(room.now), case.by)


OLDER = {
    "a connection that came earlier": (join("ann", n=1, participant_id=AGAIN, since=4.9), Code.UNAVAILABLE),
    "a connection as old as the one that is": (join("ann", n=1, participant_id=AGAIN, since=5.0), None),
    "a return on a connection that came earlier": (
        resume("ann").model_copy(update={"since": 4.9}),
        Code.UNAVAILABLE,
    ),
    "the loss of a connection that came earlier": (drop("ann").model_copy(update={"since": 4.9}), Code.NOT_IN_ROOM),
    "the loss of this connection": (drop("ann").model_copy(update={"since": 5.0}), None),
    "the loss of a connection of unknown age": (drop("ann"), None),
    "the loss of a connection of another gateway": (drop("ann", G2), Code.NOT_IN_ROOM),
    "the loss of a connection with another epoch": (drop("ann", epoch=2), Code.NOT_IN_ROOM),
    "the loss of a connection with whatever epoch": (drop("ann", epoch=None), None),
    "the loss of somebody unknown": (drop("bob"), Code.NOT_IN_ROOM),
}


@pytest.mark.parametrize(("command", "code"), OLDER.values(), ids=OLDER.keys())
def test_only_the_newest_connection_speaks_for_a_seat(command: RoomInput, code: Code | None) -> None:
    """What an older connection says of the session's seat is refused; as old is not older."""
    room = LoggedRoom(*IN, rules=RULES)
    if code is None:
        assert [type_ for type_, _, _ in told(room.do(command))] == ["participant_updated"]
    else:
        assert refusal(room, command).code is code


def test_the_later_change_of_oneself_counts() -> None:
    """A change that was asked for before one that is in already is refused; asked again after that it is no error."""
    room = LoggedRoom(*IN, update(P, "u1", name="First", asked_at=7.0), rules=RULES)
    assert told(room.do(update(P, "u2", name="Same time", asked_at=7.0)))
    assert told(room.do(update(P, "u3", name="No time")))
    late = refusal(room, update(P, "u4", name="Late", asked_at=6.9))
    assert (late.code, late.retryable) == (Code.UNAVAILABLE, True)
    assert not told(room.do(update(P, "u1", name="First", asked_at=6.9)))
    assert room.seat(P).participant.name == "No time"


@pytest.mark.parametrize(
    ("before", "end", "look"),
    [(IN, 600, RoomEnds), (IN[:1], 3600, RoomEmpty)],
    ids=["has lasted long enough", "was empty for long enough"],
)
def test_a_room_ends_at_its_time(before: tuple[RoomInput, ...], end: int, look: type[RoomEnds | RoomEmpty]) -> None:
    """Clocks may differ by a second: that much too early is in time, and more is looked at again."""
    for early, ends in ((EARLY_SECONDS, True), (EARLY_SECONDS + 0.5, False)):
        room = LoggedRoom(*before, rules=RULES)
        room.now += end - early
        decision = room.do(look(due=room.now, room_id=ROOM))
        assert bool(decision.events) == ends
        assert ends or decision.timers == [look(due=NOW + end, room_id=ROOM)]


def test_asked_again_it_has_happened() -> None:
    """The same operation again is answered by what there is: its stamp, and no event."""
    back = resume("ann").model_copy(update={"since": 6.0})
    room = LoggedRoom(*AWAY, back, rules=RULES)
    for command, operation in ((join("ann"), P), (back, "r1")):
        decision = room.do(command)
        assert (decision.stamp, decision.events) == (Stamp(operation), [])


def test_a_name_has_its_length() -> None:
    """As many characters as the setting says, when joining and afterwards; one more is too large."""
    rules = replace(RULES, name_characters=5)
    room = LoggedRoom(create(), join("ann", name="12345"), rules=rules)
    assert room.seat(P).participant.name == "12345"
    assert told(room.do(update(P, name="54321")))
    for command in (join("bob", name="123456"), update(P, "u2", name="123456")):
        assert refusal(room, command).code is Code.TOO_LARGE


def test_a_tokens_name_is_cut_to_the_length() -> None:
    """A token's name that is longer than the setting allows, or cannot be shown, keeps nobody out."""
    room = LoggedRoom(create(), rules=replace(RULES, name_characters=5))
    told(room.do(join(caller("ann", name="Annabella"))))
    assert room.seat(P).participant.name == "Annab"
    room = LoggedRoom(create(), rules=replace(RULES, name_characters=5))
    told(room.do(join(caller("annabella", name="\u3164"))))
    assert room.seat(ParticipantId("p_annabella_1")).participant.name == "annab"
