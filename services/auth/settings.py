"""Settings of auth, the only holder of token keys (docs/configuration.md is made from this)."""

import ipaddress
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from services.auth.keys import SECRET_BYTES
from services.auth.tokens import is_permission
from shared.settings import ServiceSettings, SettingsError

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
        None, description="Key of the tokens auth issues itself (join and resume tokens), at least 32 bytes."
    )
    grant_seconds: int = Field(60, ge=1, le=3600, description="Life of a join token whose requester does not say.")
    grant_max_seconds: int = Field(3600, ge=1, le=86400, description="Longest life of a join token.")

    @field_validator("default_permissions")
    @classmethod
    def _permissions_exist(cls, permissions: list[str]) -> list[str]:
        if not all(is_permission(permission) for permission in permissions):
            raise ValueError("names a permission that does not exist")
        return permissions

    @field_validator("token_jwks_url")
    @classmethod
    def _address_is_safe(cls, url: str | None) -> str | None:
        """Keys that travel in the clear could be anybody's; the message repeats nothing, the URL may hold a secret."""
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

    def token_key(self) -> bytes:
        """The shared secret of agent-link tokens (HS256), in development mode a known one unless another was set."""
        return self._in_force(self.token_secret)

    def grant_key(self) -> bytes:
        """The secret below auth's own tokens, in development mode a known one unless another was set."""
        return self._in_force(self.grant_secret)

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
