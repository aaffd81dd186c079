"""auth's settings: contradictions stop the start with one sentence that names the variable and repeats no value."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.auth.jwks import key_source
from services.auth.settings import DEVELOPMENT_SECRET, AuthSettings
from shared.runtime.settings import SettingsError

CANARY = "canary-5e1f"
SECRET = CANARY + "-a-secret-of-enough-bytes"
GRANT = {"PARLEY_GRANT_SECRET": CANARY + "-another-secret-of-enough-bytes"}
HS256 = GRANT | {"PARLEY_TOKEN_SECRET": SECRET}
ES256 = GRANT | {"PARLEY_TOKEN_ALGORITHM": "ES256"}
URL = "https://issuer.example/keys"


def problem(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        AuthSettings.read(environment)
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}"
    return str(caught.value)


def test_the_keys_in_force() -> None:
    """In production the given secrets are used; in development a known one stands in for what is missing."""
    settings = AuthSettings.read(HS256)
    assert (settings.token_key(), settings.grant_key()) == (SECRET.encode(), GRANT["PARLEY_GRANT_SECRET"].encode())
    development = AuthSettings.read({"PARLEY_MODE": "development"})
    assert development.token_key() == development.grant_key() == DEVELOPMENT_SECRET.encode()
    assert CANARY not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "PARLEY_TOKEN_SECRET is required"),
        (GRANT, "PARLEY_TOKEN_SECRET is required"),
        ({"PARLEY_TOKEN_SECRET": SECRET}, "PARLEY_GRANT_SECRET is required"),
        (HS256 | {"PARLEY_TOKEN_SECRET": CANARY}, "at least 32 bytes"),
        (HS256 | {"PARLEY_GRANT_SECRET": CANARY}, "at least 32 bytes"),
        (HS256 | {"PARLEY_TOKEN_SECRET": DEVELOPMENT_SECRET}, "development secret"),
        (HS256 | {"PARLEY_GRANT_SECRET": DEVELOPMENT_SECRET}, "development secret"),
        (HS256 | {"PARLEY_GRANT_SECRET": SECRET}, "must differ"),
        (HS256 | {"PARLEY_TOKEN_KEY_FILE": CANARY}, "choose one"),
        (ES256 | {"PARLEY_TOKEN_KEY_FILE": CANARY, "PARLEY_TOKEN_JWKS_URL": URL}, "choose one"),
        (GRANT | {"PARLEY_TOKEN_JWKS_URL": URL}, "HS256 needs PARLEY_TOKEN_SECRET"),
        (ES256, "ES256 needs"),
        (ES256 | {"PARLEY_TOKEN_SECRET": SECRET}, "ES256 needs"),
        (HS256 | {"PARLEY_TOKEN_ALGORITHM": CANARY}, "PARLEY_TOKEN_ALGORITHM"),
        (HS256 | {"PARLEY_TOKEN_ALGORITHM": "none"}, "PARLEY_TOKEN_ALGORITHM"),
        (HS256 | {"PARLEY_DEFAULT_PERMISSIONS": f"rooms:join,{CANARY}"}, "PARLEY_DEFAULT_PERMISSIONS"),
        (HS256 | {"PARLEY_TOKEN_ISSUER": ""}, "PARLEY_TOKEN_ISSUER"),
        (HS256 | {"PARLEY_TOKEN_AUDIENCE": ""}, "PARLEY_TOKEN_AUDIENCE"),
        (HS256 | {"PARLEY_TOKEN_LEEWAY": CANARY}, "PARLEY_TOKEN_LEEWAY"),
        (HS256 | {"PARLEY_GRANT_SECONDS": "100", "PARLEY_GRANT_MAX_SECONDS": "90"}, "PARLEY_GRANT_SECONDS"),
        (HS256 | {"PARLEY_TOKEN_SECRETS": SECRET}, "unknown setting PARLEY_TOKEN_SECRETS"),
    ],
)
def test_contradictions(environment: dict[str, str], word: str) -> None:
    """What does not make sense together is told at start, by the name of the variable and not by its value."""
    assert word in problem(environment)


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:8000/k", "http://[::1]/k", "http://localhost/k?a=b"])
def test_addresses_of_keys(url: str) -> None:
    """https anywhere, http on the own machine."""
    assert AuthSettings.read(ES256 | {"PARLEY_TOKEN_JWKS_URL": url}).token_jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        CANARY,
        f"http://{CANARY}.example/keys",
        "http://127.0.0.1.example/keys",
        f"file:///{CANARY}",
        f"ftp://localhost/{CANARY}",
        f"https://user:{CANARY}@issuer.example/keys",
        "https://",
        f"https://issuer.example/keys#{CANARY}",
        f"https://issuer.example:{CANARY}/",
        "https://[issuer/",
    ],
)
def test_addresses_that_keys_may_not_have(url: str) -> None:
    """Keys fetched in the clear, from files, or with a password in the address are refused."""
    assert "PARLEY_TOKEN_JWKS_URL" in problem(ES256 | {"PARLEY_TOKEN_JWKS_URL": url})


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """A secret may be in a file, whose last line break does not count."""
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    assert AuthSettings.read(GRANT | {"PARLEY_TOKEN_SECRET_FILE": str(file)}).token_key() == SECRET.encode()


def test_key_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing file, a private key and a secret that is a PEM key stop the start with a sentence."""
    private = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(private)
    for name, word in (("absent.pem", "cannot be read"), ("private.pem", "private key")):
        settings = AuthSettings.read(ES256 | {"PARLEY_TOKEN_KEY_FILE": str(tmp_path / name)})
        with pytest.raises(SettingsError, match=f"PARLEY_TOKEN_KEY_FILE: .*{word}"):
            key_source(settings)
    settings = AuthSettings.read(HS256 | {"PARLEY_TOKEN_SECRET": private.decode()})
    with pytest.raises(SettingsError, match="PARLEY_TOKEN_SECRET: HS256 needs a shared secret"):
        key_source(settings)
