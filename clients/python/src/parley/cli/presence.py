"""Our stay in a room by the SDK, as a stream of happenings: what `join` and `watch` show."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

import parley
from parley.cli.exits import Exit, Stop, refused, unreachable
from parley.cli.happening import Json, happening
from parley.cli.options import Server
from parley.cli.rest import why

LEAVING = 5.0  # seconds, all in all


class Presence:
    """One participant. `room` is there once the first happening has been told."""

    def __init__(self, server: Server, room_id: str, **how: Any) -> None:
        self.room: parley.Room | None = None
        self.state = "connecting"
        self._server = server
        self._room_id = room_id
        self._device_id = how.pop("device_id", None)
        self._how = how
        self._waiting: asyncio.Queue[Json | None] = asyncio.Queue()

    async def happenings(self) -> AsyncGenerator[Json, None]:
        """From joining, until the stay ends; leaves when it is closed. Raises Stop."""
        token = await asyncio.to_thread(lambda: self._server.credential)  # before anything else can go wrong
        source: Callable[[], Any] | str = self._tokens() if token.renewable else token.token
        session = await self._connected(source)
        try:
            session.on(self._take_session)
            self.state = session.state
            try:
                self.room = await session.join(self._room_id, **self._how)
            except parley.ParleyError as error:
                raise refused(error.code, error.message) from None
            self.room.on(self._take_room)
            yield self._happening(
                "joined", self=self.room.me.id, room=self.room.info.raw, participants=self._everyone()
            )
            while (event := await self._waiting.get()) is not None:
                yield event
            raise self._ended(self.room.left)
        finally:
            await _closed(session)

    def _tokens(self) -> Callable[[], Any]:
        """The token at hand, then others: a file may hold a new one, and development mode issues one."""
        at_hand = [self._server.credential.token]

        async def token() -> str:
            return at_hand.pop() if at_hand else await asyncio.to_thread(self._server.fresh)

        return token

    async def _connected(self, source: Callable[[], Any] | str) -> parley.Session:
        tls = self._server.tls if self._server.base.startswith("https:") else None
        try:
            return await parley.connect(self._server.base, token=source, device_id=self._device_id, ssl=tls)
        except parley.ParleyError as error:
            if error.__cause__ is not None:
                raise unreachable(f"{self._server.base}: {why(error.__cause__)}") from None
            raise refused(error.code, error.message) from None

    def _ended(self, left: parley.Left | None) -> Stop:
        reason = left.reason if left is not None else "closed"
        error = left.error if left is not None else None
        if error is not None:
            return refused(error.code, f"our stay in {self._room_id} ended: {error.message}")
        return Stop(Exit.REFUSED, f"our stay in {self._room_id} ended", reason)

    def tell(self, kind: str, /, **more: Any) -> None:
        """One more happening."""
        self._waiting.put_nowait(self._happening(kind, **more))

    # -- what the SDK tells, made into happenings; called in the event's own moment, so that the revision is the event's --

    def _take_session(self, event: parley.SessionEvent) -> None:
        if isinstance(event, parley.StateChanged):
            self.state = event.state
            self.tell("connection", state=event.state)
        elif isinstance(event, parley.Refused):
            self.tell("refused", code=event.error.code, message=event.error.message)

    def _take_room(self, event: parley.RoomEvent) -> None:
        match event:
            case parley.ParticipantJoined(participant):
                self.tell("participant_joined", participant=participant.raw)
            case parley.ParticipantLeft(participant, reason):
                self.tell("participant_left", participant=participant.raw, reason=reason)
            case parley.ParticipantUpdated(participant, previous):
                self.tell("participant_updated", participant=participant.raw, previous=previous.raw)
            case parley.RoomUpdated(info, previous):
                self.tell("room_updated", room=info.raw, previous=previous.raw)
            case parley.Resumed(recovered, rejoined):
                me = self.room.me.id if self.room is not None else None
                self.tell("resumed", recovered=recovered, rejoined=rejoined, self=me, participants=self._everyone())
            case parley.IceServers(_, expires_at):
                self.tell("ice_servers", expiresAt=expires_at)  # and not the credentials
            case parley.Left(reason):
                self.tell("left", reason=reason)
                self._waiting.put_nowait(None)

    def _happening(self, kind: str, /, **more: Any) -> Json:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        revision = self.room.revision if self.room is not None else None
        return happening(kind, self._room_id, now, revision=revision, **more)

    def _everyone(self) -> list[Json]:
        return [] if self.room is None else [dict(one.raw) for one in self.room.participants.values()]


async def _closed(session: parley.Session) -> None:
    try:
        async with asyncio.timeout(LEAVING):
            await session.close()
    except TimeoutError:
        return  # the gateway does not answer; the seat is given up after the grace time
