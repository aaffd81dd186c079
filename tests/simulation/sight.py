"""What one client sees of its rooms, and what it must never be shown: every doubt is an AssertionError."""

from tests.simulation.ledger import Ledger, Message
from tests.support.view import View

PARTS = 2  # dots in the cursor of a push that is not the last one of its entry


class Sight:
    """The rooms of one session, over all its connections."""

    def __init__(self, ledger: Ledger) -> None:
        self.views: dict[str, View] = {}
        self.cursors: dict[str, str] = {}
        self.returning: dict[str, None] = {}  # rooms whose resumption is under way
        self._over: dict[str, None] = {}  # rooms it heard the end of, until they are joined again
        self._ledger = ledger

    def forget(self) -> None:
        """The session is another one."""
        self.views.clear()
        self.cursors.clear()
        self.returning.clear()
        self._over.clear()

    def shown(self, message: Message) -> None:
        """A room as it is: for the first time, or as it should be known."""
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
        """A push about a room."""
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
        closing = own and message["reason"] == "room_closed" and message["cursor"].count(".") == PARTS  # there is more
        if not own or closing or room_id not in self.returning:
            view.take(message)  # else: how the stay ended meanwhile is told without what led to it
        self.cursors[room_id] = message["cursor"]
        if (own and not closing) or message["type"] == "room_closed":
            self.left(room_id)

    def left(self, room_id: str) -> None:
        """It is in that room no more, and knows it."""
        self.views.pop(room_id, None)
        self.cursors.pop(room_id, None)
        self._over[room_id] = None
        self.returning.pop(room_id, None)

    def ended(self, message: Message) -> None:
        """An error without an id: of a room the session is no longer in, or why the connection closes."""
        room_id = message["details"].get("roomId")
        if room_id in self.returning and message["code"] == "not_in_room":
            self.left(room_id)

    def resumed(self, message: Message) -> None:
        """The end of what was missed in a room."""
        room_id = message["roomId"]
        if room_id in self._over:  # it had come back, and then its stay ended
            return
        view = self.views[room_id]
        assert room_id in self.returning, "it comes unasked"
        assert view.revision == message["revision"], f"at {view.revision}"
        self.cursors[room_id] = message["cursor"]
        del self.returning[room_id]

    def signalled(self, message: Message) -> None:
        """A description or a candidate from somebody."""
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
    """The fields that are there and not null."""
    return [field for field, value in message.items() if value is not None]
