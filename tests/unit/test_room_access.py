"""The rules of a room: who may join it, and what a join token is worth. (Creation and seats: test_room.py.)"""

from typing import Any

import pytest

from shared.rooms.roster import GRANT_MEMORY
from shared.values.errors import Code
from tests.support.orders import NOW, OWNER, ROOM, LoggedRoom, caller, close, create, grant, join, leave
from tests.unit.test_room import refusal


def test_nobody_joins_a_closed_room() -> None:
    """A closed room is `room_closed` to those who may know of it, and unknown to others."""
    room = LoggedRoom(create(access="token"), close())
    assert refusal(room, join(OWNER)).code is Code.ROOM_CLOSED
    assert refusal(room, join("eve")).code is Code.ROOM_NOT_FOUND


def test_unknown_and_forbidden_are_one_answer() -> None:
    """Nobody learns from an answer whether a room exists that is none of their business."""
    hidden = LoggedRoom(create(access="token"))
    for command in (join("eve"), close(by=caller("eve"))):
        there, not_there = refusal(hidden, command), refusal(LoggedRoom(), command)
        assert (there.code, there.message, there.details) == (not_there.code, not_there.message, not_there.details)
        assert there.code is Code.ROOM_NOT_FOUND


def test_who_may_see_but_not_join_is_told_so() -> None:
    """An observer knows of the room, so the honest answer is `forbidden`."""
    assert refusal(LoggedRoom(create()), join(caller("o", "rooms:observe"))).code is Code.FORBIDDEN


@pytest.mark.parametrize("permission", [f"rooms:join:{ROOM}", f"rooms:manage:{ROOM}", "rooms:manage"])
def test_a_token_room_lets_in_who_is_named(permission: str) -> None:
    """A `token` room is entered with a permission for it; `rooms:join` alone is not enough, another room's neither."""
    room = LoggedRoom(create(access="token"))
    room.do(join(caller("bob", permission)))
    for other in ("rooms:join", "rooms:join:voice-2", "rooms:manage:voice-2", f"rooms:join:{ROOM}x"):
        assert refusal(room, join(caller("eve", other))).code is Code.ROOM_NOT_FOUND


def test_the_owner_is_an_agent_not_a_connection() -> None:
    """The creator has the role `owner` on every device and in every stay; others never get it by a join token."""
    room = LoggedRoom(create(access="token"), join(caller("owner", "rooms:join")), join(OWNER, n=2, device_id="phone"))
    assert {seat.participant.role for seat in room.fold.seats.values()} == {"owner"}


def test_a_grant_opens_a_token_room_once() -> None:
    """A join token lets its agent in with its role, and is used up by that."""
    room = LoggedRoom(create(access="token"), join("bob", grant=grant("bob", role="moderator")))
    assert room.seat("p_bob_1").participant.role == "moderator"
    room.do(leave("p_bob_1"))
    assert refusal(room, join("bob", n=2, grant=grant("bob"))).code is Code.FORBIDDEN


def test_a_used_grant_does_not_harm_who_needs_none() -> None:
    """Even who could join without: a used token is refused, so that it is never silently ignored."""
    room = LoggedRoom(create(), join("bob", grant=grant("bob")))
    assert refusal(room, join("bob", n=2, grant=grant("bob"))).code is Code.FORBIDDEN
    room.do(join("bob", n=2))


def test_a_join_that_is_undone_gives_its_grant_back() -> None:
    """Whose join was taken back, because its answer was lost, can come with the same join token again; nobody else."""
    room = LoggedRoom(create(access="token"), join("bob", grant=grant("bob")))
    room.do(leave("p_bob_1", gives_back=grant("bob").key))
    room.do(join("bob", n=2, grant=grant("bob")))
    assert refusal(room, join("bob", n=3, grant=grant("bob"))).code is Code.FORBIDDEN


@pytest.mark.parametrize("wrong", [grant("bob", room_id="voice-2"), grant("carol")])
def test_a_grant_for_something_else_is_refused(wrong: Any) -> None:
    """A join token of another room or agent opens nothing, not even a room the agent could join without it."""
    assert refusal(LoggedRoom(create()), join("bob", grant=wrong)).code is Code.FORBIDDEN


def test_a_refused_join_does_not_consume_the_grant() -> None:
    """After `room_full` (or a late request) the same join token is still good."""
    room = LoggedRoom(create(max_participants=1), join("a"))
    assert refusal(room, join("bob", grant=grant("bob"))).code is Code.ROOM_FULL
    room.do(leave("p_a_1"))
    assert refusal(room, join("bob", grant=grant("bob"), deadline=NOW - 1)).code is Code.UNAVAILABLE
    room.do(join("bob", grant=grant("bob")))


def test_a_join_without_effect_does_not_consume_the_grant() -> None:
    """A session that is in already joins again with a join token: nothing happens, the token stays good."""
    room = LoggedRoom(create(), join("bob"))
    room.do(join("bob", grant=grant("bob")))
    room.do(leave("p_bob_1"))
    room.do(join("bob", n=2, grant=grant("bob")))


def test_a_join_with_a_grant_can_be_asked_again() -> None:
    """The retry of a join that consumed its token is answered, not refused."""
    room = LoggedRoom(create(access="token"), join("bob", grant=grant("bob")))
    assert room.do(join("bob", grant=grant("bob"))).events == []


def test_a_used_grant_is_remembered_beyond_its_end() -> None:
    """A join that auth let pass just before the token's end, and arrives after it, does not use the token again."""
    room = LoggedRoom(create(), join("bob", grant=grant("bob")))
    room.now = NOW + 62
    room.do(join("carol", grant=grant("carol", key="k2", until=int(NOW) + 120)))
    assert refusal(room, join("bob", n=2, grant=grant("bob"))).code is Code.FORBIDDEN


def test_used_grants_have_a_bound() -> None:
    """None may be forgotten while it is valid, so one too many waits until another is over; who has none is let in."""
    room = LoggedRoom(create(), join("bob", grant=grant("bob", until=int(NOW) + 10)))
    valid = {f"k-{n}": int(NOW) + 1000 for n in range(GRANT_MEMORY - 1)}
    room.fold.grants = room.fold.grants | valid
    full = refusal(room, join("carol", grant=grant("carol", key="new", until=int(NOW) + 1000)))
    assert (full.code, full.retryable) == (Code.UNAVAILABLE, True)
    room.do(join("carol"))
    room.do(leave("p_carol_1"))
    room.now = NOW + 71
    room.do(join("carol", n=2, grant=grant("carol", key="new", until=int(NOW) + 1000)))
    assert len(room.fold.grants) == GRANT_MEMORY


def test_no_role_by_grant_makes_an_owner() -> None:
    """`owner` belongs to the creator's agent id: a join token that says so makes no second owner."""
    room = LoggedRoom(create(), join("bob", grant=grant("bob", role="owner")))
    assert room.seat("p_bob_1").participant.role != "owner"
