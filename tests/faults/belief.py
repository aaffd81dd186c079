"""What one caller believes of a room it is in, over all its connections: a view, and the position it has come to."""

from shared.values.cursor import Cursor
from tests.support.client import Message
from tests.support.view import View

WHOLE = 10_000  # an entry as a whole: after all of its parts


def place(cursor: str) -> tuple[int, int, int]:
    """As `position`, and up to which entry the events are told: an event found late comes after signals behind it."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, f"no cursor: {cursor}"
    sequence, part = position(cursor)
    return sequence, part, parsed.sequence if parsed.events is None else parsed.events


def position(cursor: str) -> tuple[int, int]:
    """Where in the log a cursor stands, to compare two of one log. Only for looking: to clients it is opaque."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, f"no cursor: {cursor}"
    return parsed.sequence, parsed.part or WHOLE


def incarnation(cursor: str) -> str:
    """Which log it is of."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, f"no cursor: {cursor}"
    return parsed.incarnation


def shown_at(cursor: str) -> tuple[int, int]:
    """As of which entry a room is shown: that of the events, where signals from before it follow."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, f"no cursor: {cursor}"
    return (parsed.events, WHOLE) if parsed.events is not None else position(cursor)


class Belief:
    """One stay. Raises AssertionError about whatever a client must never see."""

    def __init__(self, room_users: Message) -> None:
        self.room_id: str = room_users["roomId"]
        self.view = View(room_users)
        self.cursor: str = room_users["cursor"]

    @property
    def own(self) -> str:
        """The participant that its caller is."""
        return str(self.view.own)

    def take(self, push: Message) -> None:
        """A change, or a signal: above everything that came before it."""
        after = place(push["cursor"])
        assert after > place(self.cursor), f"{push['type']} at {push['cursor']} came after {self.cursor}"
        if "revision" in push:
            before = self.view.revision
            assert push["revision"] == before + 1, (
                f"{push['type']} of {self.room_id} at {push['revision']} after {before}"
            )
            self.view.take(push)
        else:
            assert push["from"] in self.view.participants, f"a signal of {push['from']}, who is not in"
            assert push["from"] != self.own, "a signal of one's own"
        self.cursor = push["cursor"]

    def shown(self, room_users: Message) -> None:
        """The room shown again: it is what was pushed."""
        assert room_users["self"] == self.own, f"shown as {room_users['self']}, was {self.own}"
        assert room_users["revision"] == self.view.revision, (
            f"shown at revision {room_users['revision']}, was told {self.view.revision}"
        )
        assert {p["id"]: p for p in room_users["participants"]} == self.view.participants, "shown otherwise than told"

    def anew(self, room_users: Message) -> None:
        """The room from the beginning: what was missed could not be replayed. The stay is the same, if the log is."""
        same_log = incarnation(room_users["cursor"]) == incarnation(self.cursor)
        assert not same_log or room_users["self"] == self.own, f"came back as {room_users['self']}, was {self.own}"
        self.view = View(room_users)
        self.cursor = room_users["cursor"]

    def resumed(self, room_resumed: Message) -> None:
        """All that was missed is here."""
        assert room_resumed["revision"] == self.view.revision, (
            f"resumed at revision {room_resumed['revision']}, was told {self.view.revision}"
        )
        assert position(room_resumed["cursor"]) >= position(self.cursor), "resumed before what was told"
        self.cursor = room_resumed["cursor"]
