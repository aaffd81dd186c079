"""What the sessions of one gateway share, and what a stay in a room is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.departures import Departures
from services.gateway.ice_servers import IceServers
from services.gateway.lease import Lease
from services.gateway.replica.room_feed import RoomFeed, RoomFeeds
from services.gateway.replica.subscriber import Member
from services.gateway.session_registry import SessionRegistry
from shared.broker.bus import Bus
from shared.values.ids import ParticipantId, RoomId


@dataclass(frozen=True, slots=True)
class Participation:
    """One session's participant in one room, by way of this connection."""

    room: RoomFeed
    member: Member

    @property
    def room_id(self) -> RoomId:
        """Where."""
        return self.room.room_id

    @property
    def participant_id(self) -> ParticipantId:
        """Who, in there."""
        return self.member.participant_id

    @property
    def epoch(self) -> int:
        """Which of the seat's connections this is."""
        return self.member.epoch


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the sessions of one gateway share. `clock` is Unix seconds, `chance(n)` gives n random bytes.

    `replay_seconds`: a connection that was found gone longer ago may have missed signals that are no longer kept.
    """

    bus: Bus
    rooms: RoomFeeds
    farewells: Departures
    lease: Lease
    ice: IceServers
    clock: Callable[[], float]
    chance: Callable[[int], bytes]
    rooms_per_session: int
    replay_seconds: float
    present: SessionRegistry = field(default_factory=SessionRegistry)
