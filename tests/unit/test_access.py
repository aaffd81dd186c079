"""The permission table of protocol section 8, cell by cell."""

import pytest

from services.rooms import access
from shared.rooms.commands import Caller
from shared.rooms.model import Access, Room
from shared.values.errors import Code
from shared.values.ids import AgentId
from tests.support.orders import ROOM, caller, grant

# who: (sees, joins, manages, lists) for an open room, then for a token room
TABLE: dict[str, tuple[str, str]] = {
    "nothing": ("....", "...."),
    "rooms:create": ("....", "...."),
    "rooms:join": ("sj.l", "...."),
    f"rooms:join:{ROOM}": ("sj.l", "sj.l"),
    "rooms:join:voice-2": ("....", "...."),
    "rooms:manage": ("sjml", "sjml"),
    f"rooms:manage:{ROOM}": ("sjml", "sjml"),
    "rooms:manage:voice-2": ("....", "...."),
    "rooms:observe": ("s...", "s..."),
    "rooms:list": ("...l", "...l"),
    "owner": ("sjml", "sjml"),
    f"rooms:join:{ROOM}2": ("....", "...."),  # a name that only begins the same
    f"rooms:manage:{ROOM[:-1]}": ("....", "...."),
    "rooms:join:*": ("....", "...."),  # no wildcards
    "ROOMS:MANAGE": ("....", "...."),
}


def room(kind: Access) -> Room:
    return Room(
        room_id=ROOM,
        name="Voice",
        type="voice",
        max_participants=10,
        created_by=AgentId("the-owner"),
        created_at="2026-02-11T10:00:00.000Z",
        access=kind,
    )


def who(name: str) -> Caller:
    return caller("the-owner", "none") if name == "owner" else caller("somebody", name)


@pytest.mark.parametrize("kind", ["open", "token"])
@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str, kind: Access) -> None:
    """Every permission allows exactly its cells: see, join, manage, list."""
    by, it = who(name), room(kind)
    allowed = [
        access.may_see(by, it),
        access.may_join(by, it),
        access.may_manage(by, it),
        access.may_list(by, it),
    ]
    assert "".join(c if ok else "." for c, ok in zip("sjml", allowed, strict=True)) == TABLE[name][kind == "token"]


def test_a_join_token_lets_see_and_join_only() -> None:
    """A grant for this room and agent opens the door, and gives no right over the room; one for others does nothing."""
    by, it = caller("bob", "none"), room("token")
    good = grant("bob", role="moderator")
    assert access.may_see(by, it, good)
    assert access.may_join(by, it, good)
    assert not access.may_manage(by, it)
    for wrong in (grant("eve"), grant("bob", room_id="voice-2")):
        assert not access.may_see(by, it, wrong)
        assert not access.may_join(by, it, wrong)


def test_the_answer_about_hidden_rooms_names_nothing() -> None:
    """It has no detail in which an unknown room could differ from a forbidden one."""
    refused = access.not_found()
    assert (refused.code, refused.details) == (Code.ROOM_NOT_FOUND, {})
