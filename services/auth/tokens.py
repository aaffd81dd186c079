"""Verifies agent-link tokens (protocol section 8). Nothing else does that. Pure.

PyJWT checks only the signature. It would read the clock for the times, and accepts more than this does.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, Any

from jwt import PyJWS
from jwt.exceptions import PyJWTError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.auth.keys import KID_CHARACTERS, KeyRing
from shared.auth.commands import Identity
from shared.rooms.model import Kind
from shared.values import names
from shared.values.errors import Code, Refused
from shared.values.ids import AgentIdField
from shared.values.moment import rfc3339
from shared.wire import strict_json

TOKEN_CHARACTERS = 8 * 1024
PERMISSIONS = 64
PERMISSION_CHARACTERS = 128

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_PERMISSION = re.compile(r"rooms:(create|list|join|manage|observe|(join|manage):[A-Za-z0-9_-]{1,64})")
# RFC 7515 section 4.1 has more (`crit`, `jku`, `jwk`, `x5u` …). Each of those would have to be obeyed or fetched.
_HEADER_MEMBERS = frozenset({"alg", "typ", "cty", "kid"})
_JWS = PyJWS()

Seconds = Annotated[
    float, Field(ge=0, le=253402300799)
]  # Unix seconds up to the year 9999, the last RFC 3339 can write
TokenId = Annotated[str, StringConstraints(pattern=r"^\P{C}{1,128}$")]  # printable, as it ends up in logs


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What an agent-link token must say. `leeway` and `max_life` are seconds."""

    issuer: str
    audience: str
    leeway: float
    max_life: float
    default_permissions: tuple[str, ...]


class SignedClaims(BaseModel):
    """Claims after the signature was verified. A claim of the wrong type is refused, an unknown one is ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)


class _AgentClaims(SignedClaims):
    """The claims of an agent-link token. Those with a default may be absent, but not null."""

    sub: AgentIdField
    iss: str
    aud: str | list[str]
    iat: Seconds
    exp: Seconds
    jti: TokenId
    nbf: Seconds = 0.0
    name: Any = None  # shown to people, and no reason to refuse a token
    kind: Kind = "human"
    permissions: Annotated[
        list[Annotated[str, StringConstraints(max_length=PERMISSION_CHARACTERS)]], Field(max_length=PERMISSIONS)
    ] = []


def check_token(token: str, keys: KeyRing, rules: TokenRules, now: float) -> Identity:
    """The agent that an agent-link token names at `now` (Unix seconds).

    Raises Refused with `invalid_token`, `expired_token`, `not_yet_valid`, `wrong_audience` or `wrong_issuer`.
    """
    document = signed_claims(token, keys)
    try:
        claims = _AgentClaims.model_validate(document)
    except ValidationError as error:
        claim = error.errors(include_input=False, include_context=False)[0]["loc"][0]
        raise _invalid(f"the token's `{claim}` claim is missing or ill-formed") from None
    _check_addressing(claims, rules)
    _check_times(claims, rules, now)
    given = claims.permissions if "permissions" in claims.model_fields_set else rules.default_permissions
    return Identity(
        agent_id=claims.sub,
        name=names.mended(claims.name, claims.sub),
        kind=claims.kind,
        permissions=tuple(dict.fromkeys(p for p in given if is_permission(p))),
        expires_at=rfc3339(claims.exp),
        token_id=claims.jti,
    )


def is_permission(text: str) -> bool:
    """Whether this is a permission of protocol section 8. A token may have others, for other services."""
    return _PERMISSION.fullmatch(text) is not None


def signed_claims(token: str, keys: KeyRing) -> dict[str, Any]:
    """The JSON object in a JWS in compact form (RFC 7515), after one of the keys verified its signature.

    Raises Refused with `invalid_token`. Before the signature is verified only the header is read, to find the key.
    """
    if len(token) > TOKEN_CHARACTERS:
        raise _invalid(f"the token is longer than {TOKEN_CHARACTERS} characters")
    if _COMPACT.fullmatch(token) is None:
        raise _invalid("the token is not three parts in base64url")
    key = keys.find(_kid(_header(token.partition(".")[0]), keys.algorithm))
    try:
        payload = _JWS.decode_complete(token, key, algorithms=[keys.algorithm])["payload"]
    except (PyJWTError, ValueError):
        raise _invalid("the token's signature does not match") from None
    return _json_object(payload, "payload")


def _header(part: str) -> dict[str, Any]:
    try:
        return _json_object(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), "header")
    except binascii.Error:
        raise _invalid("the token's header is not base64url") from None


def _kid(header: dict[str, Any], algorithm: str) -> str | None:
    """The `kid` in a token's header. Raises Refused when another member is not as configured, or not harmless."""
    if header.get("alg") != algorithm:
        raise _invalid("the token is not signed with the configured algorithm")
    if not header.keys() <= _HEADER_MEMBERS:
        raise _invalid("the token's header has members that are not accepted")
    if not all(isinstance(value, str) and len(value) <= KID_CHARACTERS for value in header.values()):
        raise _invalid("the token's header has members that are ill-formed")
    return header.get("kid")


def _json_object(body: bytes, part: str) -> dict[str, Any]:
    """The JSON object, read strictly so that it has one meaning: no member twice, no NaN, no infinity."""
    try:
        document = strict_json.loads(body)
    except strict_json.InvalidJson:
        document = None
    if not isinstance(document, dict):
        raise _invalid(f"the token's {part} is not a JSON object")
    return document


def _check_addressing(claims: _AgentClaims, rules: TokenRules) -> None:
    """Check issuer and audience. Whole strings are compared: a prefix or another case does not match."""
    if claims.iss != rules.issuer:
        raise Refused(Code.WRONG_ISSUER, "the token is from another issuer")
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if rules.audience not in audiences:
        raise Refused(Code.WRONG_AUDIENCE, "the token is meant for another audience")


def _check_times(claims: _AgentClaims, rules: TokenRules, now: float) -> None:
    """Check the times (RFC 7519 sections 4.1.4 to 4.1.6): good from `nbf` and `iat` until before `exp`, with leeway."""
    life = claims.exp - claims.iat
    if life <= 0:
        raise _invalid("the token ends before it begins")
    if life > rules.max_life:
        raise _invalid("the token lives longer than is accepted here")
    if max(claims.iat, claims.nbf) > now + rules.leeway:
        raise Refused(Code.NOT_YET_VALID, "the token is not valid yet")
    if claims.exp <= now - rules.leeway:
        raise Refused(Code.EXPIRED_TOKEN, "the token has expired")


def _invalid(sentence: str) -> Refused:
    return Refused(Code.INVALID_TOKEN, sentence)
