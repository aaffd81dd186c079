"""A local participant of a followed room, and who speaks for it: what is committed before its snapshot was sent waits here."""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from services.gateway.replica.replica import Delivery
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE, Position

HELD_FRAMES = 4096  # committed while a join is being answered

Encode = Callable[[Delivery, Position], bytes | None]  # for a client that was told of the events up to that position


class Receiver(Protocol):
    """The session behind a subscriber."""

    def send_frame(self, frame: bytes) -> None:
        """Hand it a push."""

    def participation_ended(self, room_id: RoomId, reason: str | None) -> None:
        """It is no longer in the room; it was told so."""

    def room_lost(self, room_id: RoomId) -> None:
        """What it knows of the room is worth nothing: it must come back."""

    def replaced(self) -> None:
        """The session was resumed on another connection."""


class Phase(Enum):
    """How far a subscriber has come. Each follows the one before it."""

    EXPECTING = "expecting"  # its join or resume is being asked
    SEATED = "seated"  # rooms has said that the seat is its own, and as of which position
    CAUGHT_UP = "caught up"  # what lies between its snapshot and what comes live has been read
    LIVE = "live"  # its snapshot was sent, and it hears what is committed


class Subscriber:
    """One local participant of a followed room. Its fields are read by others, and changed by its methods only."""

    __slots__ = (
        "_catch_up_frames",
        "_encode",
        "_held",
        "epoch",
        "last_signal_at",
        "leaving",
        "moved_at",
        "participant_id",
        "phase",
        "receiver",
        "seated_at",
        "told_up_to",
    )

    def __init__(
        self,
        participant_id: ParticipantId,
        receiver: Receiver,
        encode: Encode,
        epoch: int = 1,
        moved_at: Position = NOWHERE,
    ) -> None:
        self.participant_id = participant_id
        self.receiver = receiver
        self.epoch = epoch
        self.moved_at = moved_at  # where the seat became this connection's, when it was another's before
        self.phase = Phase.EXPECTING
        self.seated_at = NOWHERE  # as of where rooms has said that it has its seat
        self.told_up_to = NOWHERE  # what is not above this is in its snapshot, or was read for it
        self.last_signal_at = NOWHERE  # where the last signal is that it was given
        self.leaving = False  # it has asked to leave, and waits for the answer, which says it all
        self._encode = encode
        self._catch_up_frames: Iterable[bytes] = ()
        self._held: list[tuple[Position, bytes | Delivery]] | None = []

    @property
    def is_live(self) -> bool:
        """Whether its snapshot was sent."""
        return self.phase is Phase.LIVE

    @property
    def overflowed(self) -> bool:
        """Whether more was committed than could be held: the join has to be given up."""
        return self._held is not None and len(self._held) >= HELD_FRAMES

    def seat(self, position: Position) -> None:
        """Rooms has said that it has its seat, by a snapshot as of this position."""
        self.phase = Phase.SEATED
        self.seated_at = self.told_up_to = position

    def catch_up(self, position: Position, frames: Iterable[bytes] = ()) -> None:
        """All up to this position was read; these frames of it come before what was held."""
        self.phase = Phase.CAUGHT_UP
        self.told_up_to = position
        self._catch_up_frames = frames

    def go_live(self) -> None:
        """The snapshot was sent: what came above it follows."""
        self.phase = Phase.LIVE
        for frame in self._catch_up_frames:
            self.receiver.send_frame(frame)
        self._catch_up_frames = ()
        held, self._held = self._held or [], None
        for position, item in held:
            self.deliver(position, item)

    def deliver(self, position: Position, item: bytes | Delivery) -> None:
        """A push's frame, or a signal: now, or when the snapshot was sent, or never if the snapshot contains it."""
        if isinstance(item, Delivery):
            self.last_signal_at = max(self.last_signal_at, position)
        if self._held is not None:
            if len(self._held) < HELD_FRAMES:
                self._held.append((position, item))
        elif position > self.told_up_to:
            frame = self._encode(item, self.told_up_to) if isinstance(item, Delivery) else item
            if frame is not None:
                self.receiver.send_frame(frame)

    def leave(self) -> None:
        """It has asked to leave."""
        self.leaving = True

    def stay(self) -> None:
        """It does not leave after all."""
        self.leaving = False
