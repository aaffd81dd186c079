"""Posting signals to the log of their room over NATS."""

from shared.broker import headers, subjects
from shared.broker.nats.connection import NatsConnection
from shared.broker.signals import Posted, Signal


class NatsSignals:
    """See Signals."""

    def __init__(self, connection: NatsConnection) -> None:
        self._store = connection.store

    async def post(self, signal: Signal) -> Posted:
        """See Signals."""
        subject = subjects.signal_log(signal.room_id, signal.to)
        return await self._store.post(subject, signal.body, headers.of_signal(signal))
