"""How many bytes of signals an agent, the guests of a network, all guests, and a room may have stored, beside each connection.

The buckets outlive connections, sessions and participants: coming back, or leaving and joining again, fills none. A room's
rate is divided by the gateways that its participants are at, as this gateway's replica sees them. So it holds over all
gateways without a word between them. That of an agent holds for each gateway.
"""

import math
from typing import NamedTuple

from services.gateway.settings import GatewaySettings
from services.gateway.token_bucket import Bucket, Buckets
from shared.auth.commands import Identity
from shared.rooms.roster import Roster
from shared.telemetry.metrics import QUOTA_REFUSALS
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from shared.values.payer import payers_of

STORED_WITH = 420  # bytes that the log keeps beside a body, at most: subject, headers, seal (measured on nats-server)

_SENTENCES = {
    "agent": "your agent has sent too many bytes of signals",
    "network": "the guests of your network have sent too many bytes of signals",
    "guests": "all guests together have sent too many bytes of signals",
    "room": "too many bytes of signals were sent in this room",
}


class _Share(NamedTuple):
    whose: str
    bucket: Bucket


class SignalQuota:
    """The buckets of one gateway."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._rate = settings.room_signal_byte_rate
        self._burst = settings.room_signal_byte_burst
        self._rooms = Buckets(self._rate, self._burst)
        self._agents = Buckets(settings.agent_signal_byte_rate, settings.agent_signal_byte_burst)
        self._guests = Bucket(settings.guest_signal_byte_rate, settings.guest_signal_byte_burst)

    def take(
        self, sender: Identity, room_id: RoomId, roster: Roster | None, size: int, copies: int, now: float
    ) -> None:
        """Count a signal of `size` bytes in all its copies. Raises Refused with `rate_limited`, and then counts nothing.

        A signal larger than a whole burst passes once the bucket is full, and leaves a debt. `now` is in seconds of any
        clock that only goes forward.
        """
        cost = size + copies * STORED_WITH
        shares = [*self._of(sender), _Share("room", self._of_room(room_id, roster))]
        for whose, bucket in shares:
            wait = bucket.wait(now, min(cost, bucket.burst))
            if wait:
                QUOTA_REFUSALS.labels("signals", whose).inc()
                raise Refused(Code.RATE_LIMITED, _SENTENCES[whose], retry_after_ms=math.ceil(wait * 1000))
        for _, bucket in shares:
            bucket.borrow(now, cost)

    def _of(self, sender: Identity) -> list[_Share]:
        return [
            _Share(payer.whose, self._guests if payer.whose == "guests" else self._agents.of(payer.name))
            for payer in payers_of(sender.agent_id, sender.guest_network)
        ]

    def _of_room(self, room_id: RoomId, roster: Roster | None) -> Bucket:
        bucket = self._rooms.of(room_id)
        gateways = len({seat.gateway for seat in roster.seats.values() if seat.gateway}) if roster else 1
        bucket.rate, bucket.burst = self._rate / max(gateways, 1), self._burst / max(gateways, 1)
        return bucket
