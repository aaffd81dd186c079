"""Tokens that nobody issued: headers that ask for more, sizes, forms, and whatever else somebody may send."""

import base64
import json
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.keys import KeyRing
from services.auth.tokens import TOKEN_CHARACTERS, check_token
from shared.values.errors import Code, Refused
from tests.unit.test_tokens import JSON, NOW, RING, RULES, SECRET, claims, part, refusal, token


@pytest.mark.parametrize("member", ["jku", "x5u", "jwk", "x5c", "crit", "b64", "x5t", "zip", "enc", "url"])
def test_headers_that_ask_for_more_are_refused_and_fetch_nothing(member: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that points to a key, brings one, or changes the format is refused; no socket is opened."""
    opened: list[object] = []

    def record(*arguments: object, **_: object) -> None:
        opened.append(arguments)
        raise OSError

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, record)
    own_key = {"kty": "oct", "k": part(SECRET)}
    for value in ("http://127.0.0.1:1/keys.json", own_key, [member], ["exp"], True, False, None):
        assert refusal(token({"alg": "HS256", member: value})) is Code.INVALID_TOKEN
    assert opened == []


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "' OR 1=1 --", "k" * 10_240, "k" * 129, "", 7, None, ["a"], {"kty": "oct"}, "\u0000"]
)
def test_a_kid_is_only_ever_looked_up(kid: object) -> None:
    """A `kid` that is a path, SQL, huge or no string finds no key."""
    ring = KeyRing("HS256", named={"a": SECRET, "b": b"x" * 32})
    assert refusal(token({"alg": "HS256", "kid": kid}), ring) is Code.INVALID_TOKEN


def test_a_key_without_a_name_answers_to_any_sensible_kid() -> None:
    """A single secret or key file verifies whatever `kid` says, as long as that is a string of at most 128."""
    assert check_token(token({"alg": "HS256", "kid": "k" * 128}), RING, RULES, NOW)
    for kid in ("k" * 129, 7, None):
        assert refusal(token({"alg": "HS256", "kid": kid})) is Code.INVALID_TOKEN


def test_ten_thousand_random_kids_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown kids are refused without a fetch, and fast."""
    monkeypatch.setattr(socket, "socket", None)
    ring = KeyRing("HS256", named={"a": SECRET})
    began = time.perf_counter()
    for _ in range(10_000):
        assert refusal(token({"alg": "HS256", "kid": secrets.token_hex(8)}), ring) is Code.INVALID_TOKEN
    assert time.perf_counter() - began < 10
    assert check_token(token({"alg": "HS256", "kid": "a"}), ring, RULES, NOW)


def test_size_is_bounded_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of 5 MB, or one character over the bound, is refused before any of it is read."""
    text = token(payload=claims(extra="x" * TOKEN_CHARACTERS))
    refuse: Callable[..., object] = lambda *_, **__: pytest.fail("it was parsed")  # noqa: E731
    monkeypatch.setattr(json, "loads", refuse)
    monkeypatch.setattr(base64, "urlsafe_b64decode", refuse)
    for long in ("a" * 5_000_000, "." * 5_000_000, text, "a" * (TOKEN_CHARACTERS + 1)):
        assert refusal(long) is Code.INVALID_TOKEN


@pytest.mark.parametrize(
    "payload",
    [
        b" ",
        b"[]",
        b"null",
        b"not json",
        b"\xff",
        b'{"sub":"a","sub":"b"}',
        b"[" * 3000,
        b'{"exp":' + b"9" * 5000 + b"}",
    ],
)
def test_payloads_that_are_no_json_object(payload: bytes) -> None:
    """Signed nonsense is refused like unsigned nonsense: other types, members twice, deep nests, endless numbers."""
    assert refusal(token(payload=payload)) is Code.INVALID_TOKEN
    assert refusal(token(header=payload)) is Code.INVALID_TOKEN


def test_json_with_more_than_one_meaning() -> None:
    """Two readers may take different ones of two equal members, or read NaN otherwise, so the token is refused."""
    assert refusal(token(payload=claims(unknown=float("nan")))) is Code.INVALID_TOKEN
    twice = json.dumps(claims())[:-1].encode() + b',"sub":"admin"}'
    assert refusal(token(payload=twice)) is Code.INVALID_TOKEN


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b", "a.b.c.d", " " + token(), token() + "=", token() + "\n", "é.b.c", "\ud800.b.c"]
)
def test_forms_that_are_no_compact_jws(text: str) -> None:
    """Only three parts in unpadded base64url are a token."""
    assert refusal(text) is Code.INVALID_TOKEN


@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map(".".join))
def test_any_text_is_refused_with_a_code(text: str) -> None:
    """Whatever text arrives, the answer is a refusal, never another exception."""
    assert refusal(text) is Code.INVALID_TOKEN


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "cty", "crit"]), JSON | st.just("HS256")),
    st.dictionaries(st.sampled_from([*claims(), "nbf", "name", "kind", "permissions"]), JSON),
)
def test_any_signed_claims_are_judged(header: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whatever a trusted issuer signs, it is accepted and can be sent on, or refused; never another exception."""
    for head in ({"alg": "HS256"}, {"alg": "HS256"} | header):
        with suppress(Refused):
            assert check_token(token(head, claims() | changes), RING, RULES, NOW).model_dump_json()


def test_a_refusal_repeats_nothing_of_the_token() -> None:
    """Neither the sentence nor the exception's text holds a part of what was sent."""
    canary = "canary-7f3a"
    texts = [canary, token({"alg": canary}), token({"alg": "HS256", canary: canary}), token({"alg": "HS256", "kid": 1})]
    texts += [token(payload=claims(**{name: canary + "\n"})) for name in [*claims(), "nbf", "kind", "permissions"]]
    for text in texts:
        with pytest.raises(Refused) as caught:
            check_token(text, RING, RULES, NOW)
        told = f"{caught.value!r} {caught.value.message} {caught.value.details}"
        assert canary not in told
        assert caught.value.__cause__ is None
