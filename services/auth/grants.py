"""The tokens that auth issues itself: for a join (one agent, one room, once), a session's resume, and guests. Pure.

Each purpose has its own audience and its own key, derived from one secret. So no token passes for another kind, or for
an agent-link token, whatever its claims say. There is no leeway, since auth both issues and verifies them.
"""

import base64
import hmac
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import jwt
from pydantic import ValidationError

from services.auth.keys import KeyRing
from services.auth.tokens import SignedClaims, TokenId, signed_claims
from shared.auth.commands import GuestIssued, Identity, Issued, IssueJoinToken
from shared.rooms.grant import Grant
from shared.rooms.model import Role
from shared.values import names
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, AgentIdField, RoomId, RoomIdField, SessionId, fingerprint, mint
from shared.values.moment import rfc3339

JTI_BYTES = 16
GUEST_PREFIX = "guest-"  # the prefix of guests' agent ids
GUEST_NAME = "Guest"
NETWORK_BYTES = 12  # of a network's fingerprint


class _JoinClaims(SignedClaims):
    iss: Literal["parley:auth"]
    aud: Literal["parley:join"]
    sub: AgentIdField
    room: RoomIdField
    role: Role
    iat: int
    exp: int
    jti: TokenId


class _ResumeClaims(SignedClaims):
    iss: Literal["parley:auth"]
    aud: Literal["parley:resume"]
    sub: AgentIdField
    session: str
    iat: int
    exp: int


class _GuestClaims(SignedClaims):
    iss: Literal["parley:auth"]
    aud: Literal["parley:guest"]
    sub: AgentIdField
    name: Any  # shown to people, and no reason to refuse a token
    iat: int
    exp: int
    jti: TokenId
    net: str = ""  # the fingerprint of the network that got the token; 0.4.0 wrote none


@dataclass(frozen=True, slots=True)
class Guest:
    """Whom a guest token names. `network` is a fingerprint (`Grants.network`), empty when it is not known."""

    agent_id: AgentId
    name: str
    network: str = ""


_Claims = TypeVar("_Claims", _JoinClaims, _ResumeClaims)


@dataclass(frozen=True, slots=True)
class Grants:
    """Issues and checks auth's own tokens. Times are Unix seconds; `chance` is 16 random bytes."""

    _join: bytes = field(repr=False)
    _resume: bytes = field(repr=False)
    _guest: bytes = field(repr=False)
    _network: bytes = field(repr=False)

    @classmethod
    def under(cls, secret: bytes) -> "Grants":
        """Grants with keys derived from this secret (at least 32 bytes)."""
        return cls(*(_derived(secret, purpose) for purpose in ("join", "resume", "guest", "network")))

    def issue_join_token(self, order: IssueJoinToken, ttl: int, now: float, chance: bytes) -> Issued:
        """A join token that ends after `ttl` seconds. Raises Refused with `bad_message` for malformed ids."""
        start = int(now)
        try:
            claims = _JoinClaims(
                iss="parley:auth",
                aud="parley:join",
                sub=order.agent_id,
                room=order.room_id,
                role=order.role,
                iat=start,
                exp=start + ttl,
                jti=mint("", chance),
            )
        except ValidationError:
            raise Refused(Code.BAD_MESSAGE, "a join token needs a well-formed agent id and room id") from None
        return Issued(token=_sign(claims, self._join), expires_at=rfc3339(claims.exp))

    def check_join_token(self, token: str, room_id: RoomId, agent_id: AgentId, now: float) -> Grant:
        """What the token allows this agent in this room. Raises Refused with `forbidden`."""
        claims = _verified(_JoinClaims, token, self._join, now, "join token")
        if claims.room != room_id:
            raise Refused(Code.FORBIDDEN, "the join token is for another room")
        if claims.sub != agent_id:
            raise Refused(Code.FORBIDDEN, "the join token is for another agent")
        return Grant(
            room_id=claims.room, agent_id=claims.sub, role=claims.role, key=fingerprint(claims.jti), until=claims.exp
        )

    def issue_resume_token(self, session_id: SessionId, agent_id: AgentId, now: float, life: float) -> str:
        """The token with which this agent's session can be resumed for `life` seconds."""
        start = int(now)
        claims = _ResumeClaims(
            iss="parley:auth",
            aud="parley:resume",
            sub=agent_id,
            session=session_id,
            iat=start,
            exp=start + int(life),
        )
        return _sign(claims, self._resume)

    def check_resume_token(self, token: str, agent_id: AgentId, now: float) -> SessionId:
        """The session that the token resumes, for the agent it was issued to. Raises Refused with `forbidden`."""
        claims = _verified(_ResumeClaims, token, self._resume, now, "resume token")
        if claims.sub != agent_id:
            raise Refused(Code.FORBIDDEN, "the resume token is for another agent")
        return SessionId(claims.session)

    def network(self, network: str) -> str:
        """The fingerprint of a network address: the same for the same network, and nobody without the key finds out which."""
        digest = hmac.digest(self._network, network.encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:NETWORK_BYTES]).decode()

    def issue_guest_token(self, guest: Guest, life: int, now: float, chance: bytes) -> GuestIssued:
        """A token that names this guest for `life` seconds. Raises Refused with `bad_message` for a malformed name."""
        if len(guest.name) > names.NAME_CHARACTERS or names.fault(guest.name):
            raise Refused(Code.BAD_MESSAGE, "a guest's name has 1 to 128 printable characters")
        start = int(now)
        try:
            claims = _GuestClaims(
                iss="parley:auth",
                aud="parley:guest",
                sub=guest.agent_id,
                name=guest.name,
                iat=start,
                exp=start + life,
                jti=mint("guest_", chance),
                net=guest.network,
            )
        except ValidationError:
            raise Refused(Code.BAD_MESSAGE, "a guest needs a well-formed agent id") from None
        return GuestIssued(token=_sign(claims, self._guest), expires_at=rfc3339(claims.exp), agent_id=claims.sub)

    def is_guest_token(self, token: str) -> bool:
        """Whether a token was signed with the guests' key, whatever else is wrong with it."""
        try:
            signed_claims(token, KeyRing.from_secret(self._guest))
        except Refused:
            return False
        return True

    def check_guest_token(self, token: str, permissions: tuple[str, ...], now: float) -> Identity:
        """The guest that a token names, with these permissions. Raises Refused: `invalid_token` or `expired_token`.

        The permissions come from the settings and are not in the token, so that a change applies to issued tokens too.
        """
        try:
            claims = _GuestClaims.model_validate(signed_claims(token, KeyRing.from_secret(self._guest)))
        except ValidationError:
            raise Refused(Code.INVALID_TOKEN, "the guest token is ill-formed") from None
        if claims.exp <= now:
            raise Refused(Code.EXPIRED_TOKEN, "the guest token has expired")
        return Identity(
            agent_id=claims.sub,
            name=names.mended(claims.name, GUEST_NAME),
            kind="human",
            permissions=permissions,
            expires_at=rfc3339(claims.exp),
            token_id=claims.jti,
            guest_network=claims.net,
        )


def _derived(secret: bytes, purpose: str) -> bytes:
    """The key of one purpose: HMAC-SHA-256 of a label. No JWS can equal the label, since it has no dot."""
    return hmac.digest(secret, f"parley {purpose} token, key 1".encode(), "sha256")


def _sign(claims: SignedClaims, key: bytes) -> str:
    return jwt.encode(claims.model_dump(mode="json"), key, algorithm="HS256")


def _verified(kind: type[_Claims], token: str, key: bytes, now: float, name: str) -> _Claims:
    try:
        claims = kind.model_validate(signed_claims(token, KeyRing.from_secret(key)))
    except (Refused, ValidationError):
        raise Refused(Code.FORBIDDEN, f"the {name} is not valid") from None
    if claims.exp <= now:
        raise Refused(Code.FORBIDDEN, f"the {name} has expired")
    return claims
