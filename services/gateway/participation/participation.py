"""One session's participation in one room, over this connection."""

from dataclasses import dataclass

from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Subscriber
from shared.values.ids import ParticipantId, RoomId


@dataclass(frozen=True, slots=True)
class Participation:
    """The room's feed, and the session's subscriber to it."""

    feed: RoomFeed
    subscriber: Subscriber

    @property
    def room_id(self) -> RoomId:
        """The room."""
        return self.feed.room_id

    @property
    def participant_id(self) -> ParticipantId:
        """The session's participant in the room."""
        return self.subscriber.participant_id

    @property
    def epoch(self) -> int:
        """How often the seat was given to a connection, this one included: the first has epoch 1."""
        return self.subscriber.epoch
