"""A local participant of a followed room, and who speaks for it: what is committed before its snapshot waits here."""

from collections.abc import Callable, Iterable
from typing import Protocol

from services.gateway.replica.replica import Delivery
from shared.values.ids import ParticipantId, RoomId

HELD_FRAMES = 4096  # committed while a join is being answered


class Receiver(Protocol):
    """The session behind a member."""

    def send_frame(self, frame: bytes) -> None:
        """Hand it a push."""

    def stay_ended(self, room_id: RoomId, reason: str | None) -> None:
        """It is no longer in the room; it was told so."""

    def room_lost(self, room_id: RoomId) -> None:
        """What it knows of the room is worth nothing: it must come back."""

    def replaced(self) -> None:
        """The session was resumed on another connection."""


class Member:
    """One local participant of a followed room."""

    __slots__ = (
        "_first",
        "_held",
        "encode",
        "epoch",
        "heard",
        "leaving",
        "moved_at",
        "participant_id",
        "receiver",
        "seated_at",
        "since",
        "unheard_from",
    )

    def __init__(self, participant_id: ParticipantId, receiver: Receiver, epoch: int = 1, moved_at: int = 0) -> None:
        self.participant_id = participant_id
        self.receiver = receiver
        self.epoch = epoch
        self.moved_at = moved_at  # position at which the seat became this connection's, when it was another's before
        self.seated_at = 0  # position as of which rooms says that it has its seat
        self.since = 0  # position of its snapshot
        self.unheard_from: int | None = None  # position above which signals follow that are older than its snapshot
        self.heard = 0  # position of the last signal it was given
        self.leaving = False  # it has asked to leave, and waits for the answer, which says it all
        self._first: Iterable[bytes] = ()
        self._held: list[tuple[int, bytes | Delivery]] | None = []
        self.encode: Callable[[Delivery, int], bytes | None] = _not_expected

    @property
    def joined(self) -> bool:
        """Whether it has its snapshot."""
        return self._held is None

    def give(self, sequence: int, item: bytes | Delivery) -> None:
        """A push's frame, or a signal, at this position: now, or when the snapshot is there, or never if the snapshot
        contains it.
        """
        if isinstance(item, Delivery):
            self.heard = max(self.heard, sequence)
        if self._held is not None:
            if len(self._held) < HELD_FRAMES:
                self._held.append((sequence, item))
        elif sequence > self.since:
            frame = self.encode(item, self.since) if isinstance(item, Delivery) else item
            if frame is not None:
                self.receiver.send_frame(frame)

    def catch_up(self, position: int, frames: Iterable[bytes]) -> None:
        """What was read from the log up to this position comes before what was held."""
        self._first = frames
        self.since = position

    def overflowed(self) -> bool:
        """Whether more was committed than could be held: the join has to be given up."""
        return self._held is not None and len(self._held) >= HELD_FRAMES

    def release(self) -> None:
        """The snapshot was sent: what came above it follows."""
        for frame in self._first:
            self.receiver.send_frame(frame)
        self._first = ()
        held, self._held = self._held or [], None
        for at, item in held:
            self.give(at, item)


def _not_expected(_signal: Delivery, _told: int) -> bytes | None:
    """Until a room expects the member."""
    return None
