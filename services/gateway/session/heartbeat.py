"""The heartbeat: one task that pings connections, and ends or renews what is due, for all sessions of the process."""

import asyncio
from collections.abc import Callable, Iterable

from services.gateway.session.session import Session
from services.gateway.settings import GatewaySettings
from shared.values.errors import CloseCode

TICK_SECONDS = 0.5


class Heartbeat:
    """Looks at every connection twice a second."""

    def __init__(
        self, sessions: Callable[[], Iterable[Session]], settings: GatewaySettings, clock: Callable[[], float]
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Look at all sessions every `TICK_SECONDS`. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now, wall = loop.time(), self._clock()
            for session in list(self._sessions()):
                self._look_at(session, now, wall)

    def _look_at(self, session: Session, now: float, wall: float) -> None:
        connection, settings = session.connection, self._settings
        stuck = connection.outbox.stuck_since
        if stuck is not None and now - stuck >= settings.stall_seconds:
            connection.cut(CloseCode.SLOW_CONSUMER, "stalled")
        elif connection.pinged_at is not None:
            if connection.is_open and now - connection.pinged_at >= settings.ping_seconds:
                connection.cut(CloseCode.NO_PONG, "no_pong")
        elif now >= connection.next_ping:
            connection.next_ping = now + settings.ping_seconds
            connection.ping(now)
        if session.login.identity is not None:
            session.beat(wall)
        elif now - connection.opened_at >= settings.authenticate_seconds and connection.is_open and not session.busy:
            session.too_late()
