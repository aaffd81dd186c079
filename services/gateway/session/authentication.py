"""`authenticate` opens a session, or resumes one: then each feature brings back what it kept for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.gateway import metrics
from services.gateway.context import GatewayContext
from services.gateway.identity import Login
from services.gateway.session.feature import Comeback, Feature, OpenedSession, SessionHandle, SessionPart
from services.gateway.session.messages import Authenticate
from shared.values.errors import unavailable
from shared.values.ids import RoomId, SessionId, SessionKey, fingerprint, mint


@dataclass(frozen=True, slots=True)
class Entered:
    """A session that is let in: its resume token, its features' parts, and what it resumed (None for a new session)."""

    key: SessionKey
    resume_token: str
    parts: Mapping[type[SessionPart], SessionPart]
    comebacks: Sequence[Comeback] | None = None


class Authentication:
    """Lets sessions in. Raises Refused."""

    def __init__(
        self, context: GatewayContext, features: Sequence[Feature], session: SessionHandle, login: Login
    ) -> None:
        self._context = context
        self._features = features
        self._session = session
        self._login = login
        self._since = 0.0

    async def enter(self, message: Authenticate) -> Entered:
        """Open a new session, or resume the one that the message names if anything of it is left. Raises Refused."""
        context, address = self._context, self._session.address
        self._since = round(context.clock(), 3)  # as the log has it
        fresh = SessionId(mint("s_", context.chance(16)))
        if not context.lease.held:
            raise unavailable("the broker")
        resume = message.resume
        token = await self._login.open(message.token, address, fresh, resume.token if resume else None)
        if resume is not None and self._login.session_id != fresh:
            entered = await self._come_back(message.device_id, resume.cursors, token)
            if entered is not None:
                return entered
            token = await self._login.open(message.token, address, fresh, None)
        if resume is not None:
            metrics.RESUMES.labels("gone").inc()
        entered = self._opened(message.device_id, token)
        await self._take(entered, frozenset())
        return entered

    async def _take(self, entered: Entered, rooms: frozenset[RoomId]) -> None:
        """Have the registry know this connection as the session's, or not at all when it breaks off meanwhile."""
        registry = self._context.registry
        try:
            await registry.take(entered.key, self._session, rooms)
        except BaseException:
            registry.leave(entered.key, self._session)
            raise

    def _opened(self, device_id: str | None, token: str) -> Entered:
        context = self._context
        opened = OpenedSession(
            key=SessionKey(fingerprint(self._login.session_id)),
            agent_id=self._login.agent.agent_id,
            device_id=device_id or mint("d_", context.chance(16)),
            since=self._since,
            gateway=context.lease.gateway,
        )
        parts = [feature.open(self._session, opened) for feature in self._features if feature.open is not None]
        return Entered(opened.key, token, {type(part): part for part in parts})

    async def _come_back(self, device_id: str | None, cursors: Mapping[RoomId, str], token: str) -> Entered | None:
        """Resume the session. None when it is gone: the client named rooms, and came too late for all of them."""
        registry, session = self._context.registry, self._session
        entered = self._opened(device_id, token)
        comebacks: list[Comeback] = []
        try:
            await self._take(entered, frozenset(cursors))
            for part in entered.parts.values():
                comebacks += await part.resume(cursors, self._login.agent)
        except BaseException:
            # The connection before has let these seats go, and resumes that were asked may still happen: undo them.
            for part in entered.parts.values():
                part.not_resumed(cursors)
            registry.leave(entered.key, session)
            raise
        if cursors and all(one.gone for one in comebacks):
            registry.leave(entered.key, session)
            return None
        if not cursors:
            metrics.RESUMES.labels("no rooms").inc()
        return Entered(entered.key, token, entered.parts, comebacks)
