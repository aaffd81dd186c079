"""Leases over NATS: schedules in a stream of their own, one subject for each, which only its holder knows.

No gateway may read the stream. It does not need to: the server's refusal says what position the lease has.
"""

from shared.broker import subjects
from shared.broker.following import Following
from shared.broker.headers import EXPECTED_LAST
from shared.broker.leases import LeaseHandler
from shared.broker.nats.connection import NatsConnection
from shared.broker.nats.failures import Failures
from shared.broker.nats.replies import subjects_of
from shared.broker.nats.taker import Due, Taker
from shared.rooms import timers
from shared.rooms.timers import LeaseEnds
from shared.telemetry import metrics
from shared.values import moment
from shared.values.ids import GatewayId, LeaseName, gateway_of
from shared.values.position import Position

MARK_KEPT = "24h"  # a gateway leaves a new one sooner
STREAM = subjects.LEASE_STREAM


class NatsLeases:
    """See Leases."""

    def __init__(self, connection: NatsConnection) -> None:
        self._client = connection.client
        self._replies = connection.replies
        self._store = connection.store

    async def arm(self, name: LeaseName, due: float, *, after: Position, stopped: bool = False) -> Position:
        """See Leases."""
        headers = {
            "Nats-Schedule": f"@at {moment.rfc3339(due)}",
            "Nats-Schedule-Target": subjects.due_lease(name),
            EXPECTED_LAST: str(after),
        }
        ends = LeaseEnds(due=due, gateway=gateway_of(name), stopped=stopped)
        return await self._store.store(subjects.armed_lease(name), timers.encode(ends), headers)

    async def mark(self, name: LeaseName, *, after: Position | None) -> Position:
        """See Leases."""
        headers = {"Nats-Rollup": "sub", "Nats-TTL": MARK_KEPT}
        if after is not None:
            headers[EXPECTED_LAST] = str(after)
        return await self._store.store(subjects.marked_lease(name), b"", headers)

    async def take(self, handle: LeaseHandler, retry_seconds: float) -> Following:
        """See Leases. What is no lease, or was armed in another's name, is dropped: any gateway may arm it."""
        failures = Failures()

        async def checked(due: Due) -> None:
            lease = _lease(due)
            if lease is not None:
                await handle(lease)
            else:
                metrics.BROKER_ERRORS.labels("stray_message").inc()
                failures.say("a lease was armed that is not its sender's; it is dropped", subjects.DUE_LEASES)

        taker = Taker(self._client, self._replies, STREAM, (subjects.DUE_LEASES,), checked, retry_seconds)
        await taker.start()
        return taker

    async def alive(self) -> frozenset[GatewayId]:
        """See Leases."""
        armed = await subjects_of(self._replies, STREAM, subjects.ARMED_LEASES)
        names = (LeaseName(subject.rpartition(".")[2]) for subject in armed)
        return frozenset(gateway_of(name) for name in names if not name.endswith(subjects.MARK))


def _lease(due: Due) -> LeaseEnds | None:
    """The lease that ended. None if it is none of its sender's, or cannot be read: then no replica will ever handle it."""
    try:
        lease = timers.decode(due.body)
    except ValueError:
        return None
    name = LeaseName(due.subject.rpartition(".")[2])
    return lease if isinstance(lease, LeaseEnds) and lease.gateway == gateway_of(name) else None
