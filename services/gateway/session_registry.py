"""Which connection of this gateway has a session: the newest one that opened or resumed it."""

import asyncio
from typing import Protocol

from shared.values.ids import RoomId, SessionKey


class SessionOwner(Protocol):
    """The connection that has a session."""

    async def hand_over(self, rooms: frozenset[RoomId]) -> None:
        """Another connection takes the session over, with its seats in these rooms.

        Returns when this connection handles no request of the session any more.
        """


class SessionRegistry:
    """Sessions by the fingerprint of their id."""

    def __init__(self) -> None:
        self._holders: dict[SessionKey, SessionOwner] = {}
        self._handing_over: set[asyncio.Task[None]] = set()

    async def take(self, session: SessionKey, holder: SessionOwner, rooms: frozenset[RoomId]) -> None:
        """Give the session, with these rooms, to this connection. An earlier connection here hands it over first.

        The hand-over runs to its end also when this connection breaks off meanwhile: half of it would leave the earlier
        connection open and deaf.
        """
        before = self._holders.get(session)
        self._holders[session] = holder
        if before is not None and before is not holder:
            task = asyncio.create_task(before.hand_over(rooms), name="hand-over")
            self._handing_over.add(task)
            task.add_done_callback(self._handing_over.discard)
            await asyncio.shield(task)

    def leave(self, session: SessionKey, holder: SessionOwner) -> None:
        """The connection is gone: forget it, unless another one has the session by now."""
        if self._holders.get(session) is holder:
            del self._holders[session]
