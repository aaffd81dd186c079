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
        self._owners: dict[SessionKey, SessionOwner] = {}
        self._handing_over: set[asyncio.Task[None]] = set()

    async def take(self, session: SessionKey, owner: SessionOwner, rooms: frozenset[RoomId]) -> None:
        """Give the session, with these rooms, to this connection. An earlier connection here hands it over first.

        The hand-over runs to its end also when this connection breaks off meanwhile: half of it would leave the earlier
        connection open and deaf.
        """
        before = self._owners.get(session)
        self._owners[session] = owner
        if before is not None and before is not owner:
            task = asyncio.create_task(before.hand_over(rooms), name="hand-over")
            self._handing_over.add(task)
            task.add_done_callback(self._handing_over.discard)
            await asyncio.shield(task)

    def leave(self, session: SessionKey, owner: SessionOwner) -> None:
        """The connection is gone: forget it, unless another one has the session by now."""
        if self._owners.get(session) is owner:
            del self._owners[session]
