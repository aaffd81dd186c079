"""Verification keys: what may become one, how a JWKS document is fetched and rotated, and what its failures change."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from services.auth.keys import JWKS_ENTRIES, Algorithm, KeyRing, UnusableKey
from shared.values.errors import Code, Refused

RSA, WEAK_RSA = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose


P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())


ED25519, ED448 = Ed25519PrivateKey.generate(), Ed448PrivateKey.generate()


MAKERS: dict[Any, Any] = {
    RSA: jwt.algorithms.RSAAlgorithm,
    WEAK_RSA: jwt.algorithms.RSAAlgorithm,
    P256: jwt.algorithms.ECAlgorithm,
    P384: jwt.algorithms.ECAlgorithm,
    ED25519: jwt.algorithms.OKPAlgorithm,
    ED448: jwt.algorithms.OKPAlgorithm,
}


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    return dict(MAKERS[key].to_jwk(key.public_key(), as_dict=True)) | members


def jwks(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def knows(ring: KeyRing, kid: str | None) -> bool:
    """Whether the ring has a key for this `kid`."""
    try:
        ring.find(kid)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(("algorithm", "good"), [("RS256", RSA), ("ES256", P256), ("EdDSA", ED25519)])
def test_a_key_fits_its_algorithm_or_is_refused(algorithm: Algorithm, good: Any) -> None:
    """Only the algorithm's own key type and strength is taken, from a file as from a JWKS document."""
    assert KeyRing.from_pem(pem(good), algorithm).find("any")
    assert KeyRing.from_jwks(jwks(jwk(good, kid="1")), algorithm).find("1")
    for other in MAKERS:
        if other is not good:
            with pytest.raises(UnusableKey, match=f"{algorithm} needs"):
                KeyRing.from_pem(pem(other), algorithm)
            with pytest.raises(UnusableKey, match=f"{algorithm} needs"):
                KeyRing.from_jwks(jwks(jwk(other, kid="1")), algorithm)


def test_a_private_key_is_refused() -> None:
    """A private key where a public one belongs is told as such, in every PEM form and in JWKS, and never repeated."""
    forms = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    for private in [P256.private_bytes(Encoding.PEM, form, NoEncryption()) for form in forms]:
        with pytest.raises(UnusableKey, match="private key") as caught:
            KeyRing.from_pem(private + pem(P256), "ES256")
        assert private.splitlines()[1].decode() not in repr(caught.value)
    leaked = jwt.algorithms.ECAlgorithm.to_jwk(P256, as_dict=True)
    with pytest.raises(UnusableKey, match="private key") as caught:
        KeyRing.from_jwks(jwks(jwk(RSA, kid="1"), leaked), "RS256")
    assert leaked["d"] not in repr(caught.value)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_files_that_are_no_key(text: bytes) -> None:
    """Whatever else a key file holds is one sentence."""
    with pytest.raises(UnusableKey, match="not a public key"):
        KeyRing.from_pem(text, "ES256")


def test_secrets() -> None:
    """A secret needs 32 bytes; a key in PEM or SSH form is no secret, as everybody may have it; none is shown."""
    assert "ring-secret" not in repr(KeyRing.from_secret(b"ring-secret" * 3))
    for bad in (b"", b"s" * 31, pem(P256), b"\n" + pem(RSA), b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"):
        with pytest.raises(UnusableKey):
            KeyRing.from_secret(bad)


def test_keys_for_other_purposes_are_skipped() -> None:
    """Encryption keys, other algorithms' and broken ones in a document are skipped, the usable one stays."""
    good = jwk(RSA, kid="good", use="sig", alg="RS256", key_ops=["verify"])
    others = [
        jwk(RSA, kid="enc", use="enc"),
        jwk(RSA, kid="alg", alg="RS512"),
        jwk(RSA, kid="ops", key_ops=["encrypt"]),
        jwk(RSA, kid="ops2", key_ops="verify"),
        jwk(RSA, kid=7),
        jwk(RSA, kid="k" * 129),
        {"kty": "RSA", "kid": "empty"},
        {"kty": "RSA", "kid": "typed", "n": 1, "e": []},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        "text",
        None,
    ]
    ring = KeyRing.from_jwks(jwks(*others, good), "RS256")
    assert set(ring.named) == {"good"}
    assert knows(ring, "good")
    assert not knows(ring, "enc")


def test_which_key_a_kid_means() -> None:
    """A `kid` means the key of that name; without one, the only key or the only nameless one; else none is guessed."""
    one = KeyRing.from_jwks(jwks(jwk(P256, kid="a")), "ES256")
    two = KeyRing("ES256", named={"a": P256.public_key(), "b": P256.public_key()})
    mixed = KeyRing("ES256", named={"a": P256.public_key()}, nameless=P256.public_key())
    nameless = KeyRing.from_jwks(jwks(jwk(P256)), "ES256")
    asked = {"one": one, "two": two, "mixed": mixed, "nameless": nameless}
    assert {name for name, ring in asked.items() if knows(ring, None)} == {"one", "mixed", "nameless"}
    assert {name for name, ring in asked.items() if knows(ring, "a")} == {"one", "two", "mixed", "nameless"}
    assert {name for name, ring in asked.items() if knows(ring, "z")} == {"nameless"}
    for kid in (None, "z"):
        with pytest.raises(Refused) as caught:
            two.find(kid)
        assert caught.value.code is Code.INVALID_TOKEN


@pytest.mark.parametrize("kid", [{}, {"kid": "a"}])
def test_keys_that_cannot_be_told_apart(kid: dict[str, str]) -> None:
    """Two fitting keys of one name, or of none, leave open which one signed; the document is refused."""
    other = ec.generate_private_key(ec.SECP256R1())
    MAKERS[other] = jwt.algorithms.ECAlgorithm
    with pytest.raises(UnusableKey, match="told apart"):
        KeyRing.from_jwks(jwks(jwk(P256, **kid), jwk(other, **kid)), "ES256")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"keys":{}}', b"\xff\xfe", b"[" * 100_000])
def test_documents_that_are_no_jwk_set(body: bytes) -> None:
    """Anything but an object with a list of keys is refused, and so are too many keys."""
    for document in (body, jwks(), jwks(*[{}] * (JWKS_ENTRIES + 1))):
        with pytest.raises(UnusableKey):
            KeyRing.from_jwks(document, "ES256")


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "alg", "kid", "key_ops", "oth"]),
        st.none() | st.integers() | st.text() | st.lists(st.text()) | st.sampled_from(["RSA", "EC", "OKP", "P-256"]),
    )
)
def test_any_entry_is_used_or_skipped(entry: dict[str, Any]) -> None:
    """Whatever an entry holds, a ring results or UnusableKey, never another exception."""
    for algorithm, key in (("RS256", RSA), ("ES256", P256), ("EdDSA", ED25519)):
        ring = KeyRing.from_jwks(jwks(jwk(key, kid="good"), jwk(key, kid="changed") | entry), algorithm)  # type: ignore[arg-type]
        assert "good" in ring.named
