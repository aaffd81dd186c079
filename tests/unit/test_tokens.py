"""Agent-link tokens: what is believed, what is refused and with which code, and that nothing is fetched or repeated."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import strategies as st

from services.auth.keys import KeyRing
from services.auth.tokens import TokenRules, check_token
from shared.values.errors import Code, Refused

SECRET = b"a secret of the agent-link, shared with auth"
NOW = 1_770_804_000.0
LEEWAY, MAX_LIFE = 30, 86_400
RING = KeyRing.from_secret(SECRET)
RULES = TokenRules("agent-link", "parley", LEEWAY, MAX_LIFE, ("rooms:create", "rooms:join"))
RSA_KEY = generate_rsa_key(65537, 2048)
EC_KEY = generate_private_key(SECP256R1())
ED_KEY = Ed25519PrivateKey.generate()
ABSENT = object()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)


def claims(**changes: Any) -> dict[str, Any]:
    """A good token's claims, with changes; ABSENT leaves one out."""
    good = {
        "sub": "agent-fawzi",
        "iss": "agent-link",
        "aud": "parley",
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 600,
        "jti": "token-1",
    }
    return {name: value for name, value in (good | changes).items() if value is not ABSENT}


def part(document: object) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def token(header: object = None, payload: object = None, key: bytes = SECRET) -> str:
    """A token with an HS256 signature over any header and payload, sensible or not."""
    signed = f"{part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{part(payload or claims())}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), key)
    return f"{signed}.{part(signature)}"


def refusal(text: str, ring: KeyRing = RING, now: float = NOW) -> Code:
    with pytest.raises(Refused) as caught:
        check_token(text, ring, RULES, now)
    return caught.value.code


def test_a_good_token_names_its_agent() -> None:
    """Every claim of a good token arrives in the identity, its end in RFC 3339."""
    identity = check_token(
        token(payload=claims(name="Fawzi", kind="agent", permissions=["rooms:join", "rooms:manage:r-1"])),
        RING,
        RULES,
        NOW,
    )
    assert identity.wire() == {
        "agentId": "agent-fawzi",
        "name": "Fawzi",
        "kind": "agent",
        "permissions": ["rooms:join", "rooms:manage:r-1"],
        "expiresAt": "2026-02-11T10:10:00.000Z",
        "tokenId": "token-1",
        "guestNetwork": None,
    }


def test_what_a_token_leaves_out_has_defaults() -> None:
    """Without the optional claims: the agent id as name, a human, and the configured permissions."""
    identity = check_token(token(), RING, RULES, NOW)
    assert (identity.name, identity.kind) == ("agent-fawzi", "human")
    assert identity.permissions == RULES.default_permissions
    assert check_token(token(payload=claims(permissions=[])), RING, RULES, NOW).permissions == ()


@pytest.mark.parametrize(
    ("algorithm", "key"), [("RS256", RSA_KEY), ("ES256", EC_KEY), ("EdDSA", ED_KEY)], ids=["RS256", "ES256", "EdDSA"]
)
def test_public_key_algorithms(algorithm: Any, key: Any) -> None:
    """A token signed with the private key is good, one with a changed payload or another key's signature is not."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ring = KeyRing.from_pem(pem, algorithm)
    good = jwt.encode(claims(), key, algorithm=algorithm)
    assert check_token(good, ring, RULES, NOW).agent_id == "agent-fawzi"
    header, _, signature = good.split(".")
    assert refusal(f"{header}.{part(claims(sub='admin'))}.{signature}", ring) is Code.INVALID_TOKEN
    assert refusal(f"{header}.{part(claims())}.{part(b'short')}", ring) is Code.INVALID_TOKEN
    for secret in (pem, pem.strip(), ring.algorithm.encode() * 8):
        assert refusal(token(key=secret), ring) is Code.INVALID_TOKEN  # HS256 with the public key as the secret
        assert refusal(token({"alg": algorithm}, key=secret), ring) is Code.INVALID_TOKEN


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "RS256", None, 1, ["HS256"]]
)
def test_the_algorithm_is_never_the_tokens_choice(alg: object) -> None:
    """Any `alg` but the configured one is refused, in every spelling, with a signature and without."""
    assert refusal(token({"alg": alg})) is Code.INVALID_TOKEN
    with pytest.raises(Refused, match="not signed with the configured algorithm"):  # before any key was tried
        check_token(token({"alg": alg}), RING, RULES, NOW)
    assert refusal(f"{part({'alg': alg})}.{part(claims())}.") is Code.INVALID_TOKEN
    assert refusal(token({"typ": "JWT"})) is Code.INVALID_TOKEN


def test_another_secret_is_refused() -> None:
    """A signature by another key is refused, and so is a wrong last bit of a right one."""
    assert refusal(token(key=b"x" * 32)) is Code.INVALID_TOKEN
    good = token()
    assert all(refusal(good[:-1] + last) is Code.INVALID_TOKEN for last in "ABC_-" if last != good[-1])


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "iat", "exp", "jti"])
def test_required_claims(claim: str) -> None:
    """Each required claim must be there, and null does not count."""
    assert refusal(token(payload=claims(**{claim: ABSENT}))) is Code.INVALID_TOKEN
    assert refusal(token(payload=claims(**{claim: None}))) is Code.INVALID_TOKEN


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        ("sub", ["", "a" * 129, "agent fawzi", "agent/1", "agent\n", "a\u0000", 7, True, ["agent"]]),
        ("iss", [1, ["agent-link"], {}]),
        ("aud", [1, {}, ["parley", 1], [["parley"]], {"parley": 1}]),
        ("iat", ["1770804000", True, float("nan"), float("-inf"), -1, 10**400, [NOW]]),
        ("exp", ["1770804600", True, float("inf"), 10**20, 1e308, {}]),
        ("nbf", ["1770804000", True, False, None, float("nan"), -1]),
        ("jti", ["", "j" * 129, 1, "line\nbreak", "\ud800", "\u202e"]),
        ("kind", ["robot", "Human", "", 1, None]),
        (
            "permissions",
            ["rooms:join", [1], [None], ["rooms:join", ["rooms:list"]], ["p" * 129], ["x"] * 65, {}, None],
        ),
    ],
)
def test_ill_formed_claims(claim: str, values: list[object]) -> None:
    """A claim of another type or form than the protocol says is refused, optional or not."""
    for value in values:
        assert refusal(token(payload=claims(**{claim: value}))) is Code.INVALID_TOKEN, value


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        *((said, "agent-fawzi") for said in ("", " ", 1, None, ["Fawzi"], "\u200d", "\u3164", "\u2800")),
        *(("n" * 200, "n" * 128), ("bell\a", "bell"), ("\u202eevil", "evil")),
        *((said, said) for said in ("علی\u200cپور", "Jean\u00a0Paul")),
    ],
)
def test_a_name_is_no_reason_to_refuse_a_token(said: object, shown: str) -> None:
    """Whatever a token's `name` says, the token is good, and what is shown can be shown."""
    assert check_token(token(payload=claims(name=said)), RING, RULES, NOW).name == shown


def test_expiry_around_the_leeway() -> None:
    """A token ends at `exp` plus leeway: just before it is good, at that moment it is not (RFC 7519, 4.1.4)."""
    text = token(payload=claims(exp=NOW))
    assert check_token(text, RING, RULES, NOW + LEEWAY - 0.001)
    assert refusal(text, now=NOW + LEEWAY) is Code.EXPIRED_TOKEN


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_beginning_around_the_leeway(claim: str) -> None:
    """A token begins at `nbf`, and at `iat`, less the leeway: at that moment it is good, just before it is not."""
    text = token(payload=claims(**{claim: NOW}))
    assert check_token(text, RING, RULES, NOW - LEEWAY)
    assert refusal(text, now=NOW - LEEWAY - 0.001) is Code.NOT_YET_VALID


def test_lives() -> None:
    """The longest life is accepted to the second; longer ones, lives of years and backward ones are refused."""
    start = int(NOW)
    assert check_token(token(payload=claims(iat=start, exp=start + MAX_LIFE)), RING, RULES, NOW)
    for life in (MAX_LIFE + 1, 10 * 365 * 86_400, 0, -1):
        assert refusal(token(payload=claims(iat=start, exp=start + life))) is Code.INVALID_TOKEN


def test_audiences() -> None:
    """`aud` is our audience or a list with it; anything near it is another."""
    assert check_token(token(payload=claims(aud=["other", "parley"])), RING, RULES, NOW)
    for aud in ("other", "", "Parley", "parley ", "parley.example", "parle", [], ["other"], ["parley:join"]):
        assert refusal(token(payload=claims(aud=aud))) is Code.WRONG_AUDIENCE


def test_issuers_are_compared_whole() -> None:
    """A prefix, an extension or another case of our issuer is another issuer."""
    for iss in ("", "agent", "agent-link/", "agent-link.evil.example", "Agent-Link", " agent-link"):
        assert refusal(token(payload=claims(iss=iss))) is Code.WRONG_ISSUER


def test_unknown_permissions_give_nothing() -> None:
    """Permissions of other services and near misses are skipped; known ones stay, each once, in order."""
    near = ["rooms:join:", "rooms:join:a/b", "rooms:create:r", "rooms:*", "ROOMS:JOIN", "rooms:join\n", "mail:send", ""]
    given_ = [*near, "rooms:list", "rooms:join:" + "r" * 64, "rooms:list", "rooms:observe"]
    identity = check_token(token(payload=claims(permissions=given_)), RING, RULES, NOW)
    assert identity.permissions == ("rooms:list", "rooms:join:" + "r" * 64, "rooms:observe")
