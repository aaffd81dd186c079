"""Whom the gateway lets open a WebSocket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.transport.handshake import check, origin_allowed, source_address

ALLOWED = ["https://app.example"]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"


def status(target: str, origin: str | None = None, host: str = "calls.example") -> int | None:
    """The status of the rejection, if it is one."""
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    rejection = check(target, headers, ALLOWED)
    return int(rejection.status) if rejection else None


def test_who_comes_in() -> None:
    """The path is /ws; no origin (no browser), the same host and port, or one on the list."""
    assert status("/ws") is None
    assert status("/ws?v=1") is None
    assert status("/ws", "https://app.example") is None
    assert status("/ws", "https://calls.example") is None
    assert status("/ws", "http://CALLS.example:8080", host="calls.example:8080") is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "https://app.example.evil.example",
        "https://app.examplee",
        "https://evilapp.example",
        "https://app.example:8443",
        "http://app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?x",
        "https://app.example@evil.example",
        "https://evil.example#https://app.example",
        "https://app.example, https://evil.example",
        "HTTPS://APP.EXAMPLE.",
        "https://calls.example:444",
        "https://calls.example.",
        "https://user@calls.example",
        "https://calls.example@evil.example",
        "ws://calls.example",
        "file://",
        "file://calls.example",
        "//calls.example",
        "calls.example",
        "https://[calls.example",
        "https://calls.example\tx",
        "*",
        "https://*",
    ],
)
def test_look_alikes_do_not(origin: str) -> None:
    """An origin is compared whole: scheme, host and port. What resembles an allowed one is somebody else's."""
    assert status("/ws", origin) == 403


def test_without_a_host_there_is_no_same_host() -> None:
    """A request without Host, or with an odd one, does not make odd origins the same."""
    assert not origin_allowed("https://", "", [])
    assert not origin_allowed("null", "null", [])
    assert not origin_allowed("https://a, b", "b", [])


def test_every_page_if_asked_for() -> None:
    """`*` lets every page in, the null origin included; it has to be said."""
    assert origin_allowed("null", "", ["*"])
    assert origin_allowed("https://evil.example", "calls.example", ["*"])


@pytest.mark.parametrize(
    "target", ["/", "/ws/", "/WS", "//ws", "/ws%00", "/ws;token=x", "/wss", "/api/rooms", "/%77s", "/../ws"]
)
def test_other_paths(target: str) -> None:
    """There is one path, spelled one way."""
    assert status(target) == 404


@pytest.mark.parametrize(
    "query",
    [
        "token=x",
        "token=",
        "token",
        "Token=x",
        "TOKEN=x",
        "a=1&token=x",
        "to%6ben=x",
        "access_token=x",
        "authorization=Bearer+x",
        "auth=x",
        "jwt=x",
        "resume=x",
        f"t={JWT}",
        f"{JWT}",
        f"a=1;token={JWT}",
        "t=" + "".join(f"%{ord(c):02x}" for c in JWT),
    ],
)
def test_no_token_in_a_url(query: str) -> None:
    """A token in the URL ends up in logs: refused under every usual name, and under any name if it is a JWT."""
    assert status(f"/ws?{query}") == 400


def test_what_is_no_url() -> None:
    """A target that cannot be parsed is a bad request, not an exception."""
    assert status("http://[") == 400


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30))
def test_never_an_exception(target: str, origin: str, host: str) -> None:
    """Whatever the request says, there is an answer, and a strange origin never passes by accident."""
    rejection = check(target, {"origin": origin, "host": host}, ALLOWED)
    if rejection is None:
        assert origin in ALLOWED or origin.partition("://")[2].lower() == host.lower()


PROXIES = ["10.0.0.0/8", "192.0.2.1"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a client that pretends to be a proxy
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the left part is what the client wrote
        ("10.0.0.1", "198.51.100.1, 192.0.2.1, 10.3.3.3", "198.51.100.1"),
        ("10.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("10.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", " , ,", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),  # a socket that listens on both families
        ("2001:db8::1", "198.51.100.1", "2001:db8::1"),
        ("", "198.51.100.1", ""),
        ("10.0.0.1", "198.51.100.1:4711, 10.3.3.3:80", "198.51.100.1:4711"),  # proxies may write ports
        ("10.0.0.1", "[2001:db8::1]:4711, [::ffff:10.3.3.3]:80", "[2001:db8::1]:4711"),
        ("10.0.0.1", "198.51.100.1, junk", "junk"),
        ("10.0.0.1", "198.51.100.1, unknown, 10.3.3.3", "unknown"),
    ],
)
def test_whom_a_connection_is_counted_for(peer: str, forwarded: str | None, address: str) -> None:
    """X-Forwarded-For is believed hop by hop, from the right, as long as a proxy of ours wrote it."""
    assert source_address(peer, forwarded, PROXIES) == address


def test_nobody_is_believed_by_default() -> None:
    """Without trusted proxies the header means nothing."""
    assert source_address("127.0.0.1", "198.51.100.1", []) == "127.0.0.1"


def test_a_proxy_that_is_no_network_is_believed_by_nobody() -> None:
    """What is no address in the settings' list trusts nobody, and does not keep the others from being trusted."""
    assert source_address("10.0.0.1", "198.51.100.1", ["nginx", "10.0.0.0/8"]) == "198.51.100.1"
    assert source_address("nginx", "198.51.100.1", ["nginx"]) == "nginx"
