"""Coming in: `authenticate` opens a session, or brings one back with its seats and all it missed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from services.gateway import metrics
from services.gateway.context import Surroundings
from services.gateway.identity import FailedLogins, Login
from services.gateway.participation.participations import Participations
from services.gateway.participation.resumption import Ended, Resumption, Returned
from services.gateway.replica.subscriber import Receiver
from services.gateway.sealing import Sealer
from services.gateway.session_registry import SessionOwner
from services.gateway.settings import GatewaySettings
from services.gateway.signaling.relay import Relay, SignalValidator
from shared.values.errors import unavailable
from shared.values.ids import RoomId, SessionId, SessionKey, fingerprint, mint
from shared.wire import protocol


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a gateway use."""

    settings: GatewaySettings
    around: Surroundings
    sealer: Sealer
    checks: SignalValidator
    failed_logins: FailedLogins


class Guest(Receiver, SessionOwner, Protocol):
    """The session that comes in."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A session that is open: the secret to come back with, what it does, and what became of its rooms if it came back."""

    key: SessionKey
    resume_token: str
    stays: Participations
    relay: Relay
    returns: list[Returned | Ended] | None = None


class Entrance:
    """Lets sessions in. Raises Refused."""

    def __init__(self, shared: Shared, guest: Guest, login: Login, address: str) -> None:
        self._shared = shared
        self._guest = guest
        self._login = login
        self._address = address
        self._since = 0.0

    async def enter(self, message: protocol.Authenticate) -> Entered:
        """A new session, or the one that the message wants to resume, if there is still something of it."""
        around = self._shared.around
        self._since = round(around.clock(), 3)  # as the log has it
        fresh = SessionId(mint("s_", around.chance(16)))
        if not around.lease.held:
            raise unavailable("the broker")
        resume = message.resume
        token = await self._login.open(message.token, self._address, fresh, resume.token if resume else None)
        if resume is not None and self._login.session_id != fresh:
            entered = await self._come_back(message, resume.cursors, token)
            if entered is not None:
                return entered
            token = await self._login.open(message.token, self._address, fresh, None)
        if resume is not None:
            metrics.RESUMES.labels("gone").inc()
        entered = self._opened(message, token)
        await around.present.take(entered.key, self._guest, frozenset())
        return entered

    def _opened(self, message: protocol.Authenticate, token: str) -> Entered:
        shared, around = self._shared, self._shared.around
        key = SessionKey(fingerprint(self._login.session_id))
        device_id = message.device_id or mint("d_", around.chance(16))
        stays = Participations(around, self._guest, key, self._login.agent.agent_id, device_id, self._since)
        return Entered(key, token, stays, Relay(around.bus, shared.sealer, shared.checks, shared.settings, key))

    async def _come_back(
        self, message: protocol.Authenticate, cursors: Mapping[RoomId, str], token: str
    ) -> Entered | None:
        """None when the session is gone: it did not come back in time to any of the rooms it names."""
        around, guest = self._shared.around, self._guest
        entered = self._opened(message, token)
        await around.present.take(entered.key, guest, frozenset(cursors))
        resumption = Resumption(around, guest, entered.key, self._login.agent)
        try:
            returns = await resumption.run(cursors, entered.stays)
        except BaseException:
            # The connection before has let these seats go, and what was asked may have happened, or happen yet.
            entered.stays.undo(cursors)
            around.present.leave(entered.key, guest)
            raise
        if cursors and all(isinstance(one, Ended) and one.timed_out for one in returns):
            around.present.leave(entered.key, guest)
            return None
        if not cursors:
            metrics.RESUMES.labels("no rooms").inc()
        return Entered(entered.key, token, entered.stays, entered.relay, returns)
