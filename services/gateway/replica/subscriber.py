"""A local participant of a followed room. Keeps what is committed until the participant's snapshot was sent."""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from services.gateway.replica.replica import Delivery
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE, Position

HELD_FRAMES = 4096  # kept while a join is being answered; beyond that the session loses the room

Encode = Callable[[Delivery, Position], bytes | None]  # for a client that was sent the events up to that position


class Receiver(Protocol):
    """The session behind a subscriber."""

    def send_frame(self, frame: bytes) -> None:
        """Send a push to the client."""

    def participation_ended(self, room_id: RoomId, reason: str | None) -> None:
        """The participant left the room, and the client was told so."""

    def room_lost(self, room_id: RoomId) -> None:
        """The client's state of the room cannot be kept up to date: it must reconnect."""

    def replaced(self) -> None:
        """Another connection resumed the session."""


class Phase(Enum):
    """How far a subscriber has come. The phases follow each other in this order."""

    EXPECTING = "expecting"  # rooms is being asked for its join or resume, or the replica lags rooms' answer
    SEATED = "seated"  # it has the seat, as of a position
    CAUGHT_UP = "caught up"  # the entries between its snapshot and the first live one were read
    LIVE = "live"  # its snapshot was sent, and entries go to it as they are committed


class Subscriber:
    """One local participant of a followed room. Other modules read its fields; only its methods change them."""

    __slots__ = (
        "_catch_up_frames",
        "_encode",
        "_held",
        "epoch",
        "kept_from",
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
        self.moved_at = moved_at  # the entry that moved the seat to this connection; NOWHERE if it was never moved
        self.phase = Phase.EXPECTING
        self.kept_from = NOWHERE  # entries up to here came before it was there to keep them
        self.seated_at = NOWHERE  # position of the snapshot in which rooms showed its seat
        self.told_up_to = NOWHERE  # entries up to here are in its snapshot, or were read for it
        self.last_signal_at = NOWHERE  # position of the last signal that it was given
        self.leaving = False  # it has asked to leave; the answer replaces its own `user_left`
        self._encode = encode
        self._catch_up_frames: Iterable[bytes] = ()
        self._held: list[tuple[Position, bytes | Delivery]] | None = []

    @property
    def is_live(self) -> bool:
        """Whether its snapshot was sent."""
        return self.phase is Phase.LIVE

    @property
    def overflowed(self) -> bool:
        """Whether more was committed than could be held. Then the join has to be given up."""
        return self._held is not None and len(self._held) >= HELD_FRAMES

    def seat(self, position: Position) -> None:
        """It has the seat, with a snapshot as of this position."""
        self._advance(Phase.EXPECTING, Phase.SEATED)
        self.seated_at = self.told_up_to = position

    def catch_up(self, position: Position, frames: Iterable[bytes] = ()) -> None:
        """Entries up to this position were read. `frames` are sent before what was held."""
        self._advance(Phase.SEATED, Phase.CAUGHT_UP)
        self.told_up_to = position
        self._catch_up_frames = frames

    def go_live(self) -> None:
        """The snapshot was sent: send the frames of `catch_up`, then what was held."""
        self._advance(Phase.CAUGHT_UP, Phase.LIVE)
        for frame in self._catch_up_frames:
            self.receiver.send_frame(frame)
        self._catch_up_frames = ()
        held, self._held = self._held or [], None
        for position, item in held:
            self.deliver(position, item)

    def _advance(self, before: Phase, phase: Phase) -> None:
        if self.phase is not before:
            raise RuntimeError(f"a subscriber becomes {phase.value} when it is {before.value}, not {self.phase.value}")
        self.phase = phase

    def deliver(self, position: Position, item: bytes | Delivery) -> None:
        """Send a push's frame or a signal, or hold it until `go_live`. Drops what the snapshot contains."""
        if isinstance(item, Delivery):
            self.last_signal_at = max(self.last_signal_at, position)
        if self._held is not None:
            if len(self._held) < HELD_FRAMES:
                self._held.append((position, item))
        elif position > self.told_up_to:
            frame = self._encode(item, self.told_up_to) if isinstance(item, Delivery) else item
            if frame is not None:
                self.receiver.send_frame(frame)

    def begin_anew(self) -> bool:
        """The replica begins with another snapshot: drop what was kept. False when the room is being shown already."""
        if self.phase is not Phase.EXPECTING:
            return False
        self._held = []
        self.last_signal_at = self.kept_from = NOWHERE
        return True

    def leave(self) -> None:
        """The participant has asked to leave."""
        self.leaving = True

    def stay(self) -> None:
        """The request to leave failed: the participant stays."""
        self.leaving = False
