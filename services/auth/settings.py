"""Settings of auth, the only service that has token keys. docs/configuration.md is made from them."""

import ipaddress
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from services.auth import turn
from services.auth.keys import SECRET_BYTES
from services.auth.tokens import is_permission
from shared.runtime.settings import ServiceSettings, SettingsError

GUEST_PERMISSIONS = frozenset({"rooms:join", "rooms:create", "rooms:list"})
DEVELOPMENT_SECRET = "parley-development-secret-not-for-production"  # refused outside development mode


class AuthSettings(ServiceSettings):
    """auth: which agent-link tokens are believed, and with which key its own tokens are signed."""

    token_algorithm: Literal["HS256", "EdDSA", "ES256", "RS256"] = Field(
        "HS256", description="The one algorithm of agent-link tokens; never taken from the token."
    )
    token_secret: SecretStr | None = Field(None, description="HS256: the shared secret, at least 32 bytes.")
    token_key_file: str | None = Field(None, description="EdDSA, ES256, RS256: public key in PEM form.")
    token_jwks_url: str | None = Field(
        None,
        description="EdDSA, ES256, RS256: URL of a JWKS document (https; http on loopback), fetched in the background.",
    )
    jwks_refresh_seconds: float = Field(300.0, ge=1, description="Seconds between refreshes of the JWKS document.")
    token_issuer: str = Field("agent-link", min_length=1, description="Required `iss`, compared whole.")
    token_audience: str = Field("agent-link", min_length=1, description="Required `aud`.")
    token_leeway: int = Field(30, ge=0, le=300, description="Seconds the clocks of issuer and auth may differ.")
    token_max_life: int = Field(
        86400, ge=60, description="Longest accepted life of a token, in seconds (`exp` − `iat`)."
    )
    default_permissions: list[str] = Field(
        ["rooms:create", "rooms:join"], description="Permissions of tokens without the claim, separated by commas."
    )
    grant_secret: SecretStr | None = Field(
        None, description="Key of the tokens auth issues itself (join, resume and guest tokens), at least 32 bytes."
    )
    grant_seconds: int = Field(60, ge=1, le=3600, description="Life of a join token whose requester does not say.")
    grant_max_seconds: int = Field(3600, ge=1, le=86400, description="Longest life of a join token.")
    guest_access: bool | None = Field(
        None,
        description="Whether anybody may get a guest token (the same for gateway and auth). "
        "Unset: in development mode, and there under addresses and local names only.",
    )
    guest_permissions: list[str] | None = Field(
        None,
        description="What guests may do: `rooms:join`, `rooms:create`, `rooms:list`, separated by commas. "
        "Unset: `rooms:join`; in development mode `rooms:create` too.",
    )
    guest_seconds: int = Field(3600, ge=60, le=86400, description="Life of a guest token; it can be renewed.")
    stun_urls: list[str] = Field([], description="STUN servers that clients are told: `stun:` and `stuns:` URIs.")
    turn_urls: list[str] = Field(
        [], description="TURN servers that clients are told: `turn:` and `turns:` URIs; they need `PARLEY_TURN_SECRET`."
    )
    turn_secret: SecretStr | None = Field(
        None,
        description="Secret that auth shares with the TURN servers (coturn's `static-auth-secret`), at least 32 bytes.",
    )
    turn_seconds: int = Field(
        3600, ge=2, le=86400, description="Life of TURN credentials, in seconds; at half of it clients get new ones."
    )

    @field_validator("stun_urls")
    @classmethod
    def _stun_urls_are_some(cls, urls: list[str]) -> list[str]:
        return turn.checked(urls, ("stun", "stuns"))

    @field_validator("turn_urls")
    @classmethod
    def _turn_urls_are_some(cls, urls: list[str]) -> list[str]:
        return turn.checked(urls, ("turn", "turns"))

    @field_validator("default_permissions")
    @classmethod
    def _permissions_exist(cls, permissions: list[str]) -> list[str]:
        if not all(is_permission(permission) for permission in permissions):
            raise ValueError("names a permission that does not exist")
        return permissions

    @field_validator("guest_permissions")
    @classmethod
    def _guests_stay_guests(cls, permissions: list[str] | None) -> list[str] | None:
        """Guests may not manage or observe rooms, since no issuer vouches for them."""
        if permissions is not None and not set(permissions) <= GUEST_PERMISSIONS:
            raise ValueError(f"guests may have {', '.join(sorted(GUEST_PERMISSIONS))}, and nothing else")
        return permissions

    @field_validator("token_jwks_url")
    @classmethod
    def _address_is_safe(cls, url: str | None) -> str | None:
        """Require https except on loopback, where nobody can replace the keys. The URL may hold a secret: never repeat it."""
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            whole = bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole or "@" in parts.netloc or parts.fragment:
            raise ValueError("must be a URL with a host, and without user, password and fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            raise ValueError("must begin with https:// (http:// is for loopback hosts only)")
        return url

    @model_validator(mode="after")
    def _keys_make_sense(self) -> Self:
        given = [
            name for name in ("token_secret", "token_key_file", "token_jwks_url") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError("choose one of PARLEY_TOKEN_SECRET, PARLEY_TOKEN_KEY_FILE and PARLEY_TOKEN_JWKS_URL")
        if self.token_algorithm == "HS256":
            if given and given != ["token_secret"]:
                raise ValueError("HS256 needs PARLEY_TOKEN_SECRET, not a public key")
        elif not given or given == ["token_secret"]:
            raise ValueError(f"{self.token_algorithm} needs PARLEY_TOKEN_KEY_FILE or PARLEY_TOKEN_JWKS_URL")
        for name in ("token_secret", "grant_secret"):
            self._check_secret(name)
        if self.token_secret is not None and self.token_secret == self.grant_secret and not self.development:
            raise ValueError("PARLEY_TOKEN_SECRET and PARLEY_GRANT_SECRET must differ: the issuer knows the first one")
        return self

    @model_validator(mode="after")
    def _lives_make_sense(self) -> Self:
        if self.grant_seconds > self.grant_max_seconds:
            raise ValueError("PARLEY_GRANT_SECONDS must not exceed PARLEY_GRANT_MAX_SECONDS")
        return self

    @model_validator(mode="after")
    def _turn_makes_sense(self) -> Self:
        if self.turn_secret is None:
            if self.turn_urls:
                raise ValueError("PARLEY_TURN_URLS needs PARLEY_TURN_SECRET, which the TURN servers have as well")
            return self
        if len(self.turn_secret.get_secret_value().encode()) < SECRET_BYTES:
            raise ValueError(f"PARLEY_TURN_SECRET must have at least {SECRET_BYTES} bytes")
        if self.turn_secret in (self.token_secret, self.grant_secret):
            raise ValueError("PARLEY_TURN_SECRET must differ from the other secrets: the TURN servers know it")
        return self

    def _check_secret(self, name: str) -> None:
        secret: SecretStr | None = getattr(self, name)
        needed = name == "grant_secret" or self.token_algorithm == "HS256"
        if secret is None:
            if needed and not self.development:
                raise ValueError(f"PARLEY_{name.upper()} is required outside development mode")
        elif len(secret.get_secret_value().encode()) < SECRET_BYTES:
            raise ValueError(f"PARLEY_{name.upper()} must have at least {SECRET_BYTES} bytes")
        elif secret.get_secret_value() == DEVELOPMENT_SECRET and not self.development:
            raise ValueError(f"PARLEY_{name.upper()} is the development secret, which works in development mode only")

    @property
    def guests(self) -> bool:
        """Whether guests are let in."""
        return self.development if self.guest_access is None else self.guest_access

    @property
    def allowed_to_guests(self) -> tuple[str, ...]:
        """The permissions of every guest."""
        if self.guest_permissions is not None:
            return tuple(dict.fromkeys(self.guest_permissions))
        return ("rooms:join", "rooms:create") if self.development else ("rooms:join",)

    def token_key(self) -> bytes:
        """The shared secret of agent-link tokens (HS256). In development mode a known default, unless it was set."""
        return self._in_force(self.token_secret)

    def grant_key(self) -> bytes:
        """The secret of auth's own tokens. In development mode a known default, unless it was set."""
        return self._in_force(self.grant_secret)

    def ice(self) -> turn.IceSettings:
        """The settings that issuing ICE servers needs."""
        secret = self.turn_secret.get_secret_value().encode() if self.turn_secret is not None else b""
        return turn.IceSettings(tuple(self.stun_urls), tuple(self.turn_urls), secret, self.turn_seconds)

    def _in_force(self, secret: SecretStr | None) -> bytes:
        if secret is not None:
            return secret.get_secret_value().encode()
        if not self.development:
            raise SettingsError("a secret is missing outside development mode")
        return DEVELOPMENT_SECRET.encode()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
