"""The endpoints of auth. Clock, chance and keys are arguments; the rules are in tokens.py, grants.py and turn.py."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import structlog

from services.auth import turn
from services.auth.grants import GUEST_NAME, GUEST_PREFIX, JTI_BYTES, Grants, Guest
from services.auth.jwks import KeySource
from services.auth.logins import LoginRules, VerifiedLogin
from services.auth.settings import AuthSettings
from services.auth.tokens import TokenRules, check_token
from shared.auth.commands import (
    CheckJoinToken,
    GuestIssued,
    IceServersIssued,
    Identity,
    Issued,
    IssueDevToken,
    IssueGuestToken,
    IssueIceServers,
    IssueJoinToken,
    OpenSession,
    SessionOpened,
    Validate,
)
from shared.broker import subjects
from shared.broker.subjects import Endpoint
from shared.rooms.grant import Grant
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, mint
from shared.values.moment import rfc3339, unix

# Seconds that a resume token is good after the agent-link token's end. A session ends with its agent-link token and its
# leeway; with the margin, the resume token never ends before the session and its grace time.
RESUME_MARGIN = 3600
DEV_TOKEN_SECONDS = 3600
OF_TIME = frozenset({Code.EXPIRED_TOKEN, Code.NOT_YET_VALID})
CLOCKS_DIFFER = 0.5  # seconds
CLOCKS_TRUSTED = 300.0  # a host's clock that is further off is not believed at all

log = structlog.get_logger()


class AuthHandlers:
    """The endpoints of auth. `clock` gives Unix seconds, `host` those of this host's own clock, `chance(n)` gives n random
    bytes.
    """

    def __init__(
        self,
        settings: AuthSettings,
        source: KeySource,
        *,
        clock: Callable[[], float],
        chance: Callable[[int], bytes],
        host: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock
        self._host = host or clock
        self._differs = False
        self._chance = chance
        self.use(settings, source)

    def use(self, settings: AuthSettings, source: KeySource) -> None:
        """Judge and issue by these from here on."""
        self._settings = settings
        self._source = source
        self._grants = Grants.under(settings.grant_key())
        self._rules = TokenRules(
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            leeway=settings.token_leeway,
            max_life=settings.token_max_life,
            default_permissions=tuple(settings.default_permissions),
        )
        guests = settings.allowed_to_guests if settings.guests else None
        self._logins = LoginRules(self._rules, self._grants, lambda: self._source.keys, guests)

    async def validate(self, request: Validate) -> Identity:
        """The agent that a token names. Raises Refused: a code of protocol section 3, or `unavailable` without keys."""
        return self._verify(request.token)[0].identity

    def _verify(self, token: str) -> tuple[VerifiedLogin, float]:
        """Verify a token by the broker's time. One that is refused for its times is judged by this host's clock as well:
        when the two differ, nobody knows which one its issuer has. Returns the time by which it is good, too.
        """
        now, own = self._clock(), self._host()
        self._differs = self._differs and abs(own - now) >= CLOCKS_DIFFER
        try:
            return self._logins.verify(token, now), now
        except Refused as refused:
            if refused.code not in OF_TIME or not CLOCKS_DIFFER <= abs(own - now) <= CLOCKS_TRUSTED:
                raise
            verified = self._logins.verify(token, own)
        if not self._differs:
            self._differs = True
            log.warning("tokens are good by this host's clock and not by the broker's", seconds=round(own - now, 3))
        return verified, own

    async def open_session(self, request: OpenSession) -> SessionOpened:
        """As `validate`, with a resume token for the session. An agent other than `subject` is `subject_mismatch`.

        A resume token that is not good (any more) is no error. Then the answer names the new session of the request.
        """
        now = self._clock()
        verified, by = self._verify(request.token)
        identity = verified.identity
        if request.subject is not None and identity.agent_id != request.subject:
            raise Refused(Code.SUBJECT_MISMATCH, "the token names another agent than the session's")
        life = unix(identity.expires_at) - by + RESUME_MARGIN
        session_id = request.session_id
        if request.resume is not None:
            with contextlib.suppress(Refused):
                session_id = self._grants.check_resume_token(request.resume, identity.agent_id, now)
        return SessionOpened(
            identity=identity,
            session_id=session_id,
            good_until=unix(identity.expires_at) + verified.leeway + now - by,
            resume_token=self._grants.issue_resume_token(session_id, identity.agent_id, now, life),
        )

    async def check_join_token(self, request: CheckJoinToken) -> Grant:
        """What a join token allows. Raises Refused with `forbidden`."""
        return self._grants.check_join_token(request.token, request.room_id, request.agent_id, self._clock())

    async def issue_join_token(self, request: IssueJoinToken) -> Issued:
        """A join token. Without `ttl` it lives as long as the settings say. Raises Refused with `bad_message`."""
        ttl = self._settings.grant_seconds if request.ttl is None else request.ttl
        _check_ttl(ttl, self._settings.grant_max_seconds)
        return self._grants.issue_join_token(request, ttl, self._clock(), self._chance(JTI_BYTES))

    async def issue_dev_token(self, request: IssueDevToken) -> Issued:
        """An agent-link token, in development mode with HS256 only. Raises Refused with `forbidden`, `bad_message`."""
        if not self._settings.development:
            raise Refused(Code.FORBIDDEN, "auth issues agent-link tokens in development mode only")
        if self._settings.token_algorithm != "HS256":
            raise Refused(Code.FORBIDDEN, "auth cannot issue agent-link tokens, as it has only the issuer's public key")
        ttl = DEV_TOKEN_SECONDS if request.ttl is None else request.ttl
        _check_ttl(ttl, self._settings.token_max_life)
        now = self._clock()
        claims: dict[str, Any] = {
            "iss": self._rules.issuer,
            "aud": self._rules.audience,
            "sub": request.agent_id,
            "iat": int(now),
            "exp": int(now) + ttl,
            "jti": mint("dev_", self._chance(JTI_BYTES)),
        }
        claims |= request.model_dump(mode="json", include={"name", "kind", "permissions"}, exclude_none=True)
        token = jwt.encode(claims, self._settings.token_key(), algorithm="HS256")
        try:
            check_token(token, self._source.keys, self._rules, now)
        except Refused as refused:
            raise Refused(Code.BAD_MESSAGE, f"such a token would be refused: {refused.message}") from None
        return Issued(token=token, expires_at=rfc3339(claims["exp"]))

    async def issue_guest_token(self, request: IssueGuestToken) -> GuestIssued:
        """A token for a new guest, or another one for the guest whose token is renewed.

        A new guest gets a new agent id. A renewal keeps the agent id, the network of the first token, and the name unless
        the request has another. Raises Refused with `forbidden`, `bad_message`, `invalid_token` or `expired_token`.
        """
        if not self._settings.guests:
            raise Refused(Code.FORBIDDEN, "guests are not let in here (PARLEY_GUEST_ACCESS)")
        now = self._clock()
        network = self._grants.network(request.network) if request.network else ""
        if request.renews is None:
            guest = Guest(AgentId(mint(GUEST_PREFIX, self._chance(JTI_BYTES))), request.name or GUEST_NAME, network)
        else:
            known = self._logins.verify_guest(request.renews, now)
            guest = Guest(known.agent_id, request.name or known.name, known.guest_network or network)
        return self._grants.issue_guest_token(guest, self._settings.guest_seconds, now, self._chance(JTI_BYTES))

    async def ice_servers(self, request: IssueIceServers) -> IceServersIssued:
        """The ICE servers of the settings; TURN servers with this agent's own credentials."""
        return turn.issue(self._settings.ice(), request.agent_id, self._clock())


def _check_ttl(ttl: int, longest: int) -> None:
    if not 1 <= ttl <= longest:
        raise Refused(Code.BAD_MESSAGE, f"`ttl` must be from 1 to {longest} seconds")


def endpoints(handlers: AuthHandlers) -> list[tuple[Endpoint[Any, Any], Callable[[Any], Awaitable[Any]]]]:
    """Each endpoint of auth with its handler."""
    return [
        (subjects.VALIDATE, handlers.validate),
        (subjects.OPEN_SESSION, handlers.open_session),
        (subjects.CHECK_JOIN_TOKEN, handlers.check_join_token),
        (subjects.ISSUE_JOIN_TOKEN, handlers.issue_join_token),
        (subjects.ISSUE_DEV_TOKEN, handlers.issue_dev_token),
        (subjects.ICE_SERVERS, handlers.ice_servers),
        (subjects.ISSUE_GUEST_TOKEN, handlers.issue_guest_token),
    ]
