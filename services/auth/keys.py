"""The keys that verify tokens: which keys are accepted, and which of them a token's `kid` means. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from shared.values.errors import Code, Refused

Algorithm = Literal["HS256", "EdDSA", "ES256", "RS256"]
Key = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

KID_CHARACTERS = 128
SECRET_BYTES = 32
RSA_BITS = 2048
JWKS_ENTRIES = 100

_KEY_TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}  # RFC 7518 section 6.1, RFC 8037
_NEEDS = {
    "HS256": "a shared secret, not a public key",
    "RS256": f"an RSA key of at least {RSA_BITS} bits",
    "ES256": "an elliptic-curve key on P-256",
    "EdDSA": "an Ed25519 key",
}


class UnusableKey(ValueError):  # noqa: N818 - it names what was found, as `Refused` does
    """The given keys cannot be used. The message is one sentence and repeats nothing of them."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one algorithm. Each key fits it, so that a token's `alg` can never choose how a key is used.

    `named` are found by `kid`. `nameless` is a secret, a key file or a JWK without `kid`; it serves any `kid` as long as
    there are no named keys.
    """

    algorithm: Algorithm
    named: Mapping[str, Key] = field(default_factory=dict, repr=False)
    nameless: Key | None = field(default=None, repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> "KeyRing":
        """A key ring of HS256. Raises UnusableKey when the secret is too short, or is a public key by mistake."""
        if len(secret) < SECRET_BYTES:
            raise UnusableKey(f"the shared secret must have at least {SECRET_BYTES} bytes")
        if b"-----BEGIN " in secret or secret.startswith((b"ssh-", b"ecdsa-sha2-")):
            raise UnusableKey("HS256 needs a shared secret, and this is a key in PEM or SSH form")
        return cls("HS256", nameless=secret)

    @classmethod
    def from_pem(cls, pem: bytes, algorithm: Algorithm) -> "KeyRing":
        """One public key (SubjectPublicKeyInfo or PKCS #1 in PEM). Raises UnusableKey."""
        if b"PRIVATE KEY-----" in pem:
            raise UnusableKey("this is a private key, which nobody but the issuer may hold; give the public key")
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise UnusableKey("this is not a public key in PEM form") from None
        if (fitting := _fitting(key, algorithm)) is None:
            raise UnusableKey(f"{algorithm} needs {_NEEDS[algorithm]}")
        return cls(algorithm, nameless=fitting)

    @classmethod
    def from_jwks(cls, body: bytes, algorithm: Algorithm) -> "KeyRing":
        """The keys of a JWK set (RFC 7517 section 5) that fit the algorithm; others are skipped. Raises UnusableKey."""
        named: dict[str, Key] = {}
        nameless: Key | None = None
        for entry in _entries(body):
            key = _from_jwk(entry, algorithm)
            kid = entry.get("kid")
            if key is None or (kid is not None and not _is_kid(kid)):
                continue
            if (kid is None and nameless is not None) or kid in named:
                raise UnusableKey("the JWKS document has two keys that fit and cannot be told apart by `kid`")
            if kid is None:
                nameless = key
            else:
                named[kid] = key
        if not named and nameless is None:
            raise UnusableKey(f"the JWKS document has no key that fits: {algorithm} needs {_NEEDS[algorithm]}")
        return cls(algorithm, named, nameless)

    def find(self, kid: str | None) -> Key:
        """The key that a token's `kid` means. Raises Refused with `invalid_token`; nothing is ever fetched for it."""
        if kid is not None:
            key = self.named.get(kid) if self.named else self.nameless
        else:
            key = self.nameless or (next(iter(self.named.values())) if len(self.named) == 1 else None)
        if key is None:
            raise Refused(Code.INVALID_TOKEN, "the token does not name a key that is known here")
        return key


def _entries(body: bytes) -> list[dict[str, Any]]:
    """The members of `keys`. Raises UnusableKey, also for a private key among them: then the issuer's secret is public."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UnusableKey("the JWKS document is not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnusableKey("the JWKS document is not an object with a list of `keys`")
    if len(entries) > JWKS_ENTRIES:
        raise UnusableKey(f"the JWKS document has more than {JWKS_ENTRIES} keys")
    keys = [entry for entry in entries if isinstance(entry, dict)]
    if any("d" in key for key in keys):
        raise UnusableKey("the JWKS document holds a private key, which nobody but the issuer may hold")
    return keys


def _from_jwk(entry: dict[str, Any], algorithm: Algorithm) -> Key | None:
    """The key of a JWK meant to verify this algorithm's signatures (RFC 7517 sections 4.2 to 4.4), or None."""
    operations = entry.get("key_ops", ["verify"])
    meant = entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not meant or entry.get("alg", algorithm) != algorithm or entry.get("kty") != _KEY_TYPES.get(algorithm):
        return None
    try:
        return _fitting(PyJWK(entry, algorithm).key, algorithm)
    except (PyJWTError, ValueError, UnsupportedAlgorithm):
        return None


def _is_kid(kid: object) -> bool:
    return isinstance(kid, str) and len(kid) <= KID_CHARACTERS


def _fitting(key: object, algorithm: Algorithm) -> Key | None:
    """The key, if its type and strength fit the algorithm."""
    if algorithm == "RS256" and isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS:
        return key
    if algorithm == "ES256" and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    if algorithm == "EdDSA" and isinstance(key, Ed25519PublicKey):
        return key
    return None
