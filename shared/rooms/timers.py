"""What the broker's clock holds for us: what is to be looked at when its time has come. Pure.

A timer is a hint, never an order: when it fires, rooms looks at the log and does what still has to be done. So an old
one does nothing, one that fires twice does nothing the second time, and none ever has to be cancelled. Names are such
that what a replica arms for a decision that then loses takes the place of no timer that counts, and that nothing is
armed under the name of one that is just firing: the broker would sweep it away.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from shared.values.ids import GatewayId, ParticipantId, RoomId
from shared.values.model import Tolerant


class _Due(Tolerant):
    """`due` is Unix seconds."""

    due: float


class LeaseEnds(_Due):
    """A gateway has not renewed its lease: whoever it held is without a connection."""

    kind: Literal["lease"] = "lease"
    gateway: GatewayId

    @property
    def name(self) -> str:
        """One timer per name; arming it again replaces it."""
        return f"lease.{self.gateway}"


class Sweep(_Due):
    """Look once more at a gateway whose lease ended: joins that were on their way then have arrived by now."""

    kind: Literal["sweep"] = "sweep"
    gateway: GatewayId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return f"sweep.{self.gateway}"


class GraceEnds(_Due):
    """A participant whose connection is gone did not come back in time."""

    kind: Literal["grace"] = "grace"
    room_id: RoomId
    participant_id: ParticipantId
    epoch: int

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return f"grace.{self.room_id}.{self.participant_id}.{self.epoch}"


class RoomEnds(_Due):
    """A room's `maxDuration` is over."""

    kind: Literal["max_duration"] = "max_duration"
    room_id: RoomId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return f"max_duration.{self.room_id}.{int(self.due)}"


class RoomEmpty(_Due):
    """A room has been empty for long."""

    kind: Literal["empty"] = "empty"
    room_id: RoomId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return (
            f"empty.{self.room_id}.{int(self.due) // 60}"  # by the minute: rooms may be left a thousand times an hour
        )


class LogKept(_Due):
    """The log of a closed room has been kept long enough."""

    kind: Literal["kept"] = "kept"
    room_id: RoomId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return f"kept.{self.room_id}"


Timer = LeaseEnds | Sweep | GraceEnds | RoomEnds | RoomEmpty | LogKept
_timer: TypeAdapter[Timer] = TypeAdapter(Annotated[Timer, Field(discriminator="kind")])


def encode(timer: Timer) -> bytes:
    """As it is stored."""
    return timer.model_dump_json(by_alias=True).encode()


def decode(body: bytes) -> Timer:
    """As it was stored. Raises ValueError for anything else, a newer version's timers too."""
    return _timer.validate_json(body, extra="ignore")
