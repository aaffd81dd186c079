"""Sends the signals of one session: finds the receivers, seals each signal, and stores it in the log for each receiver."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import replace

from services.gateway import metrics
from services.gateway.participation.participation import Participation
from services.gateway.sealing import bound
from services.gateway.session.feature import OpenedSession, SessionHandle, SessionPart
from services.gateway.signaling.messages import Candidate, signal_body
from services.gateway.signaling.messages import Signal as SignalMessage
from services.gateway.signaling.validator import SignalValidator
from services.gateway.token_bucket import Bucket
from shared.auth.commands import Identity
from shared.broker import subjects
from shared.broker.room_log import StoredEvents, StoredSignal
from shared.broker.signals import Signal
from shared.broker.tail import read_up_to
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import Position

STORED_AGAIN = 5  # attempts to store a signal where the copies already stored have an epoch that receivers drop

_RELAYED = {type_: metrics.SIGNALS.labels(type_) for type_ in ("offer", "answer", "candidate")}


class Relay(SessionPart):
    """Sends one session's signals."""

    def __init__(self, session: SessionHandle, opened: OpenedSession) -> None:
        context, settings = session.context, session.context.settings
        self._signals = context.ports.signals
        self._log = context.ports.room_log
        self._sealer = context.sealer
        self._reserve = context.reserve
        self._validator = SignalValidator(settings)
        self._session = opened.key
        self._seconds = settings.signal_seconds
        self._receivers = settings.broadcast_receivers
        self._quota = context.signal_quota
        self._bytes = Bucket(settings.signal_byte_rate, settings.signal_byte_burst)
        # Pairs whose last description was not stored: a candidate must never arrive without it.
        self._broken: set[tuple[RoomId, ParticipantId]] = set()

    async def send(
        self,
        message: SignalMessage,
        sender: Participation,
        identity: Identity,
        now: float,
        charge: Callable[[int], None],
    ) -> None:
        """Returns when the signal is stored for every receiver. `charge` gets their number, and may raise Refused.

        Raises Refused. `now` is in seconds of the loop's clock.
        """
        self._validator.check(message)
        receivers = self._addressed(message, sender)
        charge(len(receivers))
        body = signal_body(message, sender.room_id, sender.participant_id, identity.agent_id)
        self._check_bytes(len(body) * len(receivers), len(receivers), sender, identity, now)
        await self._reserve.admit(len(receivers), len(body))
        if len(receivers) == 1:
            await self._post(message, sender, receivers[0], body)
            return
        results = await asyncio.gather(
            *(self._post(message, sender, to, body) for to in receivers), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _check_bytes(self, size: int, copies: int, sender: Participation, identity: Identity, now: float) -> None:
        """Count the bytes for the connection, and for agent and room. Raises Refused."""
        wait = self._bytes.wait(now, size)
        if wait:
            raise Refused(
                Code.RATE_LIMITED, "too many bytes of signals at once", retry_after_ms=max(1, int(wait * 1000))
            )
        self._quota.take(identity, sender.room_id, sender.feed.replica.roster, size, copies, now)
        self._bytes.take(now, size)

    def _addressed(self, message: SignalMessage, sender: Participation) -> list[ParticipantId]:
        roster = sender.feed.replica.roster
        seats = roster.seats if roster else {}
        if message.to is not None:
            to = ParticipantId(message.to)
            if to not in seats or to == sender.participant_id:
                raise Refused(Code.PARTICIPANT_NOT_FOUND, "no such participant in this room")
            return [to]
        others = [participant_id for participant_id in seats if participant_id != sender.participant_id]
        if len(others) > self._receivers:
            raise Refused(Code.PARTICIPANT_NOT_FOUND, f"more than {self._receivers} receivers: name one")
        return others

    async def _post(self, message: SignalMessage, sender: Participation, to: ParticipantId, body: bytes) -> None:
        pair = (sender.room_id, to)
        if pair in self._broken and isinstance(message, Candidate):
            raise Refused(Code.UNAVAILABLE, "the description before this candidate was not delivered; send it again")
        sealed = self._sealer.seal(body, bound(sender.room_id, sender.participant_id, sender.epoch, to))
        # The body is part of the key: a message with a used id and another body must be stored too.
        key = f"{self._session}:{message.id}:{zlib.crc32(body):x}:{to}" if message.id is not None else None
        signal = Signal(sender.room_id, to, sender.participant_id, sender.epoch, sealed, self._seconds, key)
        try:
            await self._post_believed(signal, sender.subscriber.moved_at)
        except Refused:
            self._broken.add(pair)
            raise
        if self._broken:
            self._broken.discard(pair)
        _RELAYED[message.type].inc()

    async def _post_believed(self, signal: Signal, moved_at: Position) -> None:
        """Post until the log has a copy of the signal that receivers do not drop. Raises Refused.

        The copy already stored under the key may come, late, from an older connection that had lost the seat by then.
        Receivers drop such a copy.
        """
        for n in range(STORED_AGAIN):
            posted = await self._signals.post(replace(signal, key=f"{signal.key}:{n}") if n else signal)
            if not posted.again or not moved_at or not await self._fenced_off(signal, posted.position, moved_at):
                return
        raise unavailable("the log")

    async def _fenced_off(self, signal: Signal, position: Position, moved_at: Position) -> bool:
        """Whether receivers drop the stored signal: its epoch is lower than the sender's seat had at that position."""
        log_subject = subjects.signal_log(signal.room_id, signal.to)
        stored = await self._log.read(log_subject, after=Position(position - 1), limit=1)
        found = stored[0] if stored else None
        if not isinstance(found, StoredSignal) or found.position != position:
            raise unavailable("the log")
        if position > moved_at:
            return found.epoch < signal.epoch
        # The sender's next move after the signal shows the epoch before it. The last move is at `moved_at`.
        for entry in await read_up_to(self._log, subjects.event_log(signal.room_id), position, moved_at) or ():
            stamp = entry.entry().stamp if isinstance(entry, StoredEvents) else None
            if stamp is not None and stamp.participant == signal.sender and stamp.gateway is not None:
                return found.epoch < stamp.epoch - 1
        raise unavailable("the log")

    def room_left(self, room_id: RoomId) -> None:
        """See SessionPart."""
        self._broken = {pair for pair in self._broken if pair[0] != room_id}
