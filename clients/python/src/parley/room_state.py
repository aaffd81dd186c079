"""A room as its pushes have made it: who is there, its ICE servers, and our place in its log. Pure: messages in, events out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.early_signals import SIGNALS
from parley.events import IceServers, Resumed, RoomEvent
from parley.ice_server import IceServer, ice_servers
from parley.roster import Roster

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a push did. With a `gap`, changes before it were missed and the room has to be asked for; `left` is the
    reason when it ended our stay."""

    events: tuple[RoomEvent, ...] = ()
    gap: bool = False
    left: str | None = None


class RoomState:
    """The state of a room that we joined; `users` is the `room_users` that the join was answered with."""

    def __init__(self, users: Message) -> None:
        self.roster = Roster(users)
        self.seated = True  # not while a lost seat is being taken again
        self.cursor: str | None = users["cursor"]  # the last place in the room's log that we have seen
        self.ice_servers: tuple[IceServer, ...] = ice_servers(users.get("iceServers"))
        self.ice_expires_at: str | None = users.get("expiresAt")
        self._recovered = True

    def lose_seat(self) -> None:
        """Our seat is gone, and the cursor with it: what comes next is the `room_users` of another join."""
        self.seated = False
        self.cursor = None

    def take(self, message: Message) -> Taken | None:
        """Take a push or a named reply. None: its change is known already, or it is about a seat that was lost."""
        if not self.seated and message["type"] != "room_users":
            return None
        self.cursor = message.get("cursor", self.cursor)
        match message["type"]:
            case "room_users":
                return Taken(self._replace(message))
            case "ice_servers":
                return Taken(self._serve(message))
            case "room_resumed":
                resumed, self._recovered = Resumed(recovered=self._recovered), True
                return Taken((resumed,))
            case "room_closed":
                return Taken(left="room_closed")
            case "user_left" if message["participantId"] == self.roster.self_id:
                return Taken(left=message.get("reason", "left"))
            case type_ if type_ not in SIGNALS and "revision" in message:
                if message["revision"] <= self.roster.revision:
                    return None
                change = self.roster.apply(message)
                return Taken(change.events, change.gap)
        return Taken()

    def _replace(self, users: Message) -> tuple[RoomEvent, ...]:
        rejoined = users["self"] != self.roster.self_id
        again = rejoined or not self.seated
        self.seated = True
        self._recovered = users.get("recovered") is not False
        events: tuple[RoomEvent, ...] = self.roster.replace(users)
        if "iceServers" in users:
            events += self._serve(users)
        if again:
            events += (Resumed(recovered=False, rejoined=rejoined),)
        return events

    def _serve(self, message: Message) -> tuple[RoomEvent, ...]:
        given = (ice_servers(message.get("iceServers")), message.get("expiresAt"))
        if given == (self.ice_servers, self.ice_expires_at):
            return ()
        self.ice_servers, self.ice_expires_at = given
        return (IceServers(*given),)
