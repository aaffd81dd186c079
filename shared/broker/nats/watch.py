"""Looks at the streams over NATS: finds that one is missing, was made anew or went back, and says so in the log.

Whoever owns the streams makes those that are missing, and gives a log that went back another name, so that everybody
knows it from what it was.
"""

import asyncio
from collections.abc import Callable

import structlog
from nats.aio.client import Client

from shared.broker.nats import streams as nats_streams
from shared.broker.nats.streams import Streams
from shared.broker.watch import Change, Sight, StreamState

log = structlog.get_logger()

LOOK_SECONDS = 1.5  # between looks
OWNERS_LOOK_SECONDS = 0.75  # sooner: gateways that cannot renew their leases wait for the stream to be made anew
OWNERS_PATIENCE = 2.5  # for an end that is lower than it was
PATIENCE = 6.5  # of the others: time for the owner to give the log another name, which everybody then sees


class NatsWatch:
    """See Watch. `logs` are the streams that the process reads; `owned` are those that it makes."""

    def __init__(self, client: Client, logs: tuple[str, ...], owned: Streams | None, timeout: float) -> None:
        self._client = client
        self._logs = logs
        self._owned = owned
        self._timeout = timeout
        self._hearing: list[Callable[[str, Change], None]] = []
        names = dict.fromkeys([*logs, *(owned.names if owned else ())])
        patience = OWNERS_PATIENCE if owned else PATIENCE
        self.every = OWNERS_LOOK_SECONDS if owned else LOOK_SECONDS
        self._sights = {name: Sight(patience) for name in names}

    def state(self, stream: str) -> StreamState | None:
        """See Watch."""
        sight = self._sights.get(stream)
        return sight.state if sight else None

    def generation(self, stream: str) -> int:
        """See Watch."""
        sight = self._sights.get(stream)
        return sight.generation if sight else 0

    async def went_back(self, stream: str) -> None:
        """See Watch. The next look finds another stream."""
        await nats_streams.rename(self._client, stream, self._timeout)

    def tell(self, heard: Callable[[str, Change], None]) -> None:
        """See Watch."""
        self._hearing.append(heard)

    def incarnation(self, stream: str) -> str:
        """The incarnation of the stream as it was last believed; empty when it is none of this process's."""
        sight = self._sights.get(stream)
        return sight.known.incarnation if sight and sight.known else ""

    @property
    def complete(self) -> bool:
        """Whether all logs were there at the last look, and none is in doubt."""
        return all(self._sights[name].state is not None and not self._sights[name].doubtful for name in self._logs)

    @property
    def waits_for(self) -> str:
        """What is not there, or in doubt, in one sentence; the first of them."""
        for name in self._logs:
            if self._sights[name].state is None:
                return f"stream {name} is not there yet: the service that owns it makes it"
        return "a stream went back, and its owner has to give it another name"

    async def look(self) -> bool:
        """Look at every stream once. Returns whether a log is missing or another one. Raises `Refused(unavailable)`."""
        if self._owned is not None and not all(sight.state for sight in self._sights.values()):
            for made in await nats_streams.ensure(self._client, self._owned, self._timeout):
                log.warning("a stream was not there, and was made: whatever it held is gone", stream=made)
        changes = {name: await self._look_at(name, sight) for name, sight in self._sights.items()}
        return any(changes[name] is not None for name in self._logs)

    async def _look_at(self, name: str, sight: Sight) -> Change | None:
        before = sight.known
        change = sight.take(await nats_streams.state(self._client, name, self._timeout), _now())
        if change is None:
            return None
        if change is Change.BACK and self._owned is not None and name in self._logs:
            await nats_streams.rename(self._client, name, self._timeout)
            sight.rename(await nats_streams.state(self._client, name, self._timeout))
        self._found(name, change, before, sight.state)
        return change

    def _found(self, name: str, change: Change, before: StreamState | None, now: StreamState | None) -> None:
        ended = before.last if before else None
        if change is Change.MISSING:
            log.error("a stream is missing", stream=name, ended_at=ended)
        else:
            log.error(f"a stream {change}: it is another one", stream=name, ended_at=ended, ends_at=now and now.last)
        for heard in self._hearing:
            heard(name, change)


def _now() -> float:
    return asyncio.get_running_loop().time()
