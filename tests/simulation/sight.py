"""One client's views of its rooms. A message that must not come raises AssertionError."""

from tests.simulation.ledger import Ledger, Message
from tests.support.view import View

PARTS = 2  # dots in the cursor of a push that is not the last one of its entry


class Sight:
    """The rooms of one session, over all its connections."""

    def __init__(self, ledger: Ledger) -> None:
        self.views: dict[str, View] = {}
        self.cursors: dict[str, str] = {}
        self.returning: dict[str, None] = {}  # rooms whose resumption is under way
        self._over: dict[str, None] = {}  # rooms that it was told it is no longer in, until it joins them again
        self._ledger = ledger

    def forget(self) -> None:
        """Forget all rooms: the client has a new session."""
        self.views.clear()
        self.cursors.clear()
        self.returning.clear()
        self._over.clear()

    def shown(self, message: Message) -> None:
        """Take a `room_users`. It begins a view, or must agree with the view that there is."""
        room_id = message["roomId"]
        view = self.views.get(room_id)
        if view is not None and "recovered" not in _said(message):
            assert (view.own, view.revision) == (message["self"], message["revision"]), view.revision
            assert view.participants == {p["id"]: p for p in message["participants"]}, view.participants
            return
        if view is not None:
            assert view.own == message["self"], "the same seat"
        self.views[room_id] = view = View(message)
        self._over.pop(room_id, None)
        self.cursors[room_id] = message["cursor"]
        self._ledger.entered.setdefault(view.own, view.position[0])
        if "recovered" in _said(message):
            self._ledger.anew[view.own] = view.position[0]

    def changed(self, message: Message) -> None:
        """Take a push about a room."""
        room_id = message["roomId"]
        if message["type"] == "room_users":
            assert room_id in self.returning, "it comes unasked"
            self.shown(message)
            return
        view = self.views.get(room_id)
        if view is None:
            assert message["type"] == "room_closed", "nothing comes of a room one is not in"
            assert room_id in self._over, "it was never in that room"
            return
        own = message["type"] == "user_left" and message["participantId"] == view.own
        assert not (own and message["reason"] == "timeout") or room_id in self.returning, "it was here all the time"
        more = message["cursor"].count(".") == PARTS or "~" in message["cursor"]  # of its entry; `~`: it was found late
        closing = own and message["reason"] == "room_closed" and more
        if not own or closing or room_id not in self.returning:
            view.take(message)  # a participation that ended meanwhile is told alone, without the pushes before it
        self.cursors[room_id] = message["cursor"]
        if (own and not closing) or message["type"] == "room_closed":
            self.left(room_id)

    def left(self, room_id: str) -> None:
        """The client has left the room."""
        self.views.pop(room_id, None)
        self.cursors.pop(room_id, None)
        self._over[room_id] = None
        self.returning.pop(room_id, None)

    def ended(self, message: Message) -> None:
        """Take an error without an id: the session is no longer in a room, or the connection closes."""
        room_id = message["details"].get("roomId")
        if room_id in self.returning and message["code"] == "not_in_room":
            self.left(room_id)

    def resumed(self, message: Message) -> None:
        """Take `room_resumed`, the end of a room's backlog."""
        room_id = message["roomId"]
        if room_id in self._over:  # it resumed the room, and then its participation ended
            return
        view = self.views[room_id]
        assert room_id in self.returning, "it comes unasked"
        assert view.revision == message["revision"], f"at {view.revision}"
        self.cursors[room_id] = message["cursor"]
        del self.returning[room_id]

    def signalled(self, message: Message) -> None:
        """Take a description or a candidate."""
        view = self.views.get(message["roomId"])
        assert view is not None, "a signal of a room one is not in"
        assert message["from"] in view.participants, "it is from somebody who is not there"
        assert message["agentId"] == view.participants[message["from"]]["agentId"]
        self.cursors[message["roomId"]] = message["cursor"]
        request = self._ledger.requests.get(message["negotiation"])
        assert request is not None, "nobody sent it"
        assert (request.message["to"], request.own) == (view.own, message["from"]), "it was for somebody else"
        for field in ("type", "sdp", "candidate"):
            assert request.message.get(field) == message.get(field), f"another {field}"
        assert self._ledger.deliver(view.own, request.id), "it came twice"


def _said(message: Message) -> list[str]:
    """The names of the fields that are not null."""
    return [field for field, value in message.items() if value is not None]
