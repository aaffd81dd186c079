"""Which sessions have a connection here: the newest one has the session."""

from typing import Protocol

from shared.values.ids import RoomId, SessionKey


class SessionOwner(Protocol):
    """The connection that has a session."""

    async def hand_over(self, rooms: frozenset[RoomId]) -> None:
        """Another connection has the session from here on, and its seats in these rooms.

        Returns when nothing of it is under way here any more.
        """


class SessionRegistry:
    """Sessions by the fingerprint of their id."""

    def __init__(self) -> None:
        self._holders: dict[SessionKey, SessionOwner] = {}

    async def take(self, session: SessionKey, holder: SessionOwner, rooms: frozenset[RoomId]) -> None:
        """This connection has the session now, with these rooms; the one before it, if it is here, is told."""
        before = self._holders.get(session)
        self._holders[session] = holder
        if before is not None and before is not holder:
            await before.hand_over(rooms)

    def leave(self, session: SessionKey, holder: SessionOwner) -> None:
        """The connection is gone."""
        if self._holders.get(session) is holder:
            del self._holders[session]
