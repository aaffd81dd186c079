"""One session's participant in one room, by way of this connection."""

from dataclasses import dataclass

from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Subscriber
from shared.values.ids import ParticipantId, RoomId


@dataclass(frozen=True, slots=True)
class Participation:
    """The feed of the room, and what hears it for the session."""

    feed: RoomFeed
    subscriber: Subscriber

    @property
    def room_id(self) -> RoomId:
        """Where."""
        return self.feed.room_id

    @property
    def participant_id(self) -> ParticipantId:
        """Who, in there."""
        return self.subscriber.participant_id

    @property
    def epoch(self) -> int:
        """Which of the seat's connections this is."""
        return self.subscriber.epoch
