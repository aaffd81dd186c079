"""One client's view of a room: its `room_users` and the pushes after it, folded. A gap fails an assertion."""

from collections.abc import Iterable
from typing import Any

from tests.support.client import Message


class View:
    """A room as one client sees it."""

    def __init__(self, room_users: Message) -> None:
        self.room: dict[str, Any] = room_users["room"]
        self.own = room_users["self"]
        self.revision = room_users["revision"]
        self.position = _position(room_users["cursor"])
        self.participants = {p["id"]: p for p in room_users["participants"]}
        self.closed: str | None = None
        self.gone: set[str] = set()
        assert self.own in self.participants
        assert self.room["participantCount"] == len(self.participants)

    def take(self, push: Message) -> None:
        """Take the next push. Asserts that revisions have no gap, positions never go back, and nobody joins twice."""
        assert self.closed is None, f"{push} after room_closed"
        assert push["revision"] == self.revision + 1, (push, self.revision)
        position = _position(push["cursor"])
        assert position >= self.position
        self.revision, self.position = push["revision"], position
        if push["type"] == "user_joined":
            newcomer = push["participant"]
            assert newcomer["id"] not in self.participants.keys() | self.gone
            assert newcomer["order"] > max((p["order"] for p in self.participants.values()), default=0)
            self.participants[newcomer["id"]] = newcomer
        elif push["type"] == "user_left":
            left = self.participants.pop(push["participantId"])
            assert left["agentId"] == push["agentId"]
            self.gone.add(left["id"])
        elif push["type"] == "user_updated":
            assert push["participant"]["id"] in self.participants
            self.participants[push["participant"]["id"]] = push["participant"]
        elif push["type"] == "room_updated":
            self.room = push["room"]
        elif push["type"] == "room_closed":
            self.closed = push["reason"]

    @classmethod
    def of(cls, messages: Iterable[Message], room_id: str) -> "View":
        """The view of a client that joined once, from all its messages. Asserts that `room_users` comes first."""
        view: View | None = None
        for message in messages:
            if message.get("roomId") != room_id or "revision" not in message:
                continue
            if view is None:
                assert message["type"] == "room_users", f"{message} came before room_users"
                view = cls(message)
            elif message["type"] == "room_users":
                assert message["revision"] == view.revision, "shown anew, it is what was pushed"
                assert {p["id"]: p for p in message["participants"]} == view.participants
            else:
                view.take(message)
        assert view is not None
        return view


def _position(cursor: str) -> tuple[int, int]:
    """A cursor's position, for comparing cursors of one log. The last part of an entry has no number in its cursor."""
    # An event that was found late, after signals behind it, has its own position at the cursor's end.
    place, _, late = cursor.partition("~")
    if late:
        return int(late), 10_000
    _, sequence, *part = place.split(".")
    return int(sequence), int(part[0]) if part else 10_000
