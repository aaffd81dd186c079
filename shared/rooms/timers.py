"""The timers that the broker holds until they are due. Pure.

A timer is a hint, never an order: when it fires, rooms looks at the log and does what still has to be done. So an old
timer does nothing, one that fires twice does nothing the second time, and no timer has to be cancelled.

Two rules for names. A replica of rooms arms timers before it appends: if its append then loses, its timer must not have
replaced one that is still needed. And no timer may be armed under the name of one that is just firing: the broker would
delete it.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, TypeAdapter

from shared.values.ids import GatewayId, ParticipantId, RoomId
from shared.values.model import Tolerant


class _Due(Tolerant):
    """The time at which a timer fires: `due` is Unix seconds."""

    due: float


class LeaseEnds(_Due):
    """A gateway has not renewed its lease: its participants have no connection any more. `stopped`: it said so itself."""

    kind: Literal["lease"] = "lease"
    gateway: GatewayId
    stopped: bool = False

    @property
    def name(self) -> str:
        """The timer's name. Arming another timer of the same name replaces it."""
        return f"lease.{self.gateway}"


class Sweep(_Due):
    """Look once more at a gateway whose lease ended: joins that were under way then are in the log by now."""

    kind: Literal["sweep"] = "sweep"
    gateway: GatewayId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return f"sweep.{self.gateway}"


class GraceEnds(_Due):
    """The grace time of a participant whose connection is gone is over."""

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
    """A room has been empty for `empty_room_seconds`."""

    kind: Literal["empty"] = "empty"
    room_id: RoomId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return (
            f"empty.{self.room_id}.{int(self.due) // 60}"  # by the minute: rooms may be left a thousand times an hour
        )


class LogKept(_Due):
    """Part of a room's log, or the log of a closed room, has been kept long enough."""

    kind: Literal["kept"] = "kept"
    room_id: RoomId

    @property
    def name(self) -> str:
        """See LeaseEnds."""
        return f"kept.{self.room_id}.{int(self.due)}"


Timer = LeaseEnds | Sweep | GraceEnds | RoomEnds | RoomEmpty | LogKept
KINDS: tuple[str, ...] = tuple(kind.model_fields["kind"].default for kind in get_args(Timer))
_timer: TypeAdapter[Timer] = TypeAdapter(Annotated[Timer, Field(discriminator="kind")])


def encode(timer: Timer) -> bytes:
    """The timer as it is stored."""
    return timer.model_dump_json(by_alias=True).encode()


def decode(body: bytes) -> Timer:
    """The stored timer. Raises ValueError for anything else, including timers of a newer version."""
    return _timer.validate_json(body, extra="ignore")
