"""Snapshots as they travel between releases: a gateway of one asks rooms of another while they are replaced."""

import json
from pathlib import Path
from typing import Any

from shared.rooms.commands import SelfChange
from shared.rooms.roster import ONLY_ROOMS, Roster, RosterState, Seat, Snapshot
from tests.support.orders import LoggedRoom, caller, create, grant, join, leave, update

OF_0_3_0 = (Path(__file__).parent / "samples" / "snapshot-0.3.0.json").read_text()
ADDED = {"foldVersion", "also", "guestNetwork"}  # by later releases; older ones skip what they do not know


def the_room() -> Roster:
    """The room whose snapshot 0.3.0 wrote."""
    return LoggedRoom(create(), join("a", grant=grant("a")), join("b"), leave("p_b_1")).fold


def written(snapshot: Snapshot) -> dict[str, Any]:
    """As it stands on the wire."""
    text: dict[str, Any] = json.loads(snapshot.model_dump_json(by_alias=True))
    return text


def test_a_snapshot_of_0_3_0_is_read() -> None:
    """What a 0.3.0 rooms answers a join with, or kept, is the same state here."""
    read = Snapshot.model_validate_json(OF_0_3_0, extra="ignore")
    assert read.fold_version == 0
    assert written(Roster.of(read).snapshot(whole=True)) == written(the_room().snapshot(whole=True))


def test_0_3_0_reads_our_snapshot() -> None:
    """Ours has every field of 0.3.0 under its name, with its value; what is new beside them is skipped there."""
    ours = written(the_room().snapshot(whole=True))
    assert {name: value for name, value in ours.items() if name not in ADDED} == json.loads(OF_0_3_0)


def test_what_only_rooms_needs_is_marked_once() -> None:
    """A marked field leaves rooms with its default, and no other field is touched."""
    twice = update("p_a_1", name="A", then=(SelfChange(operation="u2", name="B"),))
    room = LoggedRoom(
        create(by=caller("owner", guest_network="n")), join("a", grant=grant("a")), join("b"), leave("p_b_1"), twice
    ).fold
    whole, public = room.snapshot(whole=True), room.snapshot()
    marked = {name for name, field in RosterState.model_fields.items() if ONLY_ROOMS in field.metadata}
    assert marked == {"origin", "operations", "also", "guest_network", "grants", "departed"}
    for name in RosterState.model_fields:
        assert (getattr(public, name) == getattr(whole, name)) == (name not in marked), name
    (seat,), (shown,) = whole.seats, public.seats
    assert [name for name in Seat.model_fields if getattr(seat, name) != getattr(shown, name)] == ["session"]
