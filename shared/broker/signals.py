"""The port for signals: sealed messages on their way to one participant, stored in the room's log."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared.values.ids import ParticipantId, RoomId
from shared.values.position import Position


@dataclass(frozen=True, slots=True)
class Signal:
    """A sealed message on its way to one participant. `key` makes a repeat of the same request have no second effect.

    `seconds` is how long the log keeps it.
    """

    room_id: RoomId
    to: ParticipantId
    sender: ParticipantId
    epoch: int
    body: bytes
    seconds: int
    key: str | None = None


class Posted(NamedTuple):
    """A signal's position in the log. `again`: it was stored before under the same key."""

    position: Position
    again: bool = False


class Signals(Protocol):
    """Sends signals. The gateways of the receivers get them by following the room's log."""

    async def post(self, signal: Signal) -> Posted:
        """Append a signal to the room's log. A repeated `key` stores nothing, and gives the first one's position.

        Raises `Refused(unavailable)` when the outcome is unknown; then post it again with the same key.
        """
