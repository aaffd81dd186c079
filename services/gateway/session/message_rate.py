"""Limits how fast one client may send: first its socket is read more slowly, then its messages are refused."""

import asyncio

from services.gateway.settings import GatewaySettings
from services.gateway.token_bucket import MessageRate, Verdict
from services.gateway.transport.connection import Connection
from shared.values.errors import Code, Refused


class MessageRateLimit:
    """Meters one connection."""

    def __init__(self, connection: Connection, settings: GatewaySettings) -> None:
        self._connection = connection
        self._settings = settings
        self._rate = MessageRate(settings.message_rate, settings.message_burst, settings.throttle_seconds)
        self._refused = 0  # in a row

    def take(self, receivers: int = 1) -> None:
        """Count a message, once per receiver. Raises Refused with `rate_limited`."""
        loop = asyncio.get_running_loop()
        ruling = self._rate.rule(loop.time(), receivers)
        if ruling.verdict is Verdict.SLOW_DOWN:
            self._connection.stop_reading()
            loop.call_later(ruling.seconds, self._connection.go_on_reading)
        elif ruling.verdict is Verdict.REFUSE:
            self._refused += 1
            raise Refused(Code.RATE_LIMITED, "too many messages", retry_after_ms=max(1, int(ruling.seconds * 1000)))
        elif self._rate.calm:
            self._refused = 0

    @property
    def exhausted(self) -> bool:
        """Whether the client went on sending after more than `rate_limited_errors` refusals in a row."""
        return self._refused > self._settings.rate_limited_errors

    def allow_for(self, participants: int) -> None:
        """Raise the burst: a client in rooms with so many participants sends many signals at once."""
        more = self._settings.message_burst_per_participant * participants
        self._rate.allow_burst(self._settings.message_burst + more)
