"""Which upgrade requests the gateway accepts: path, origin, no secrets in the URL. Pure."""

import contextlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

from shared.values.address import parsed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WEBSOCKET_PATH = "/ws"
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]+\.")  # under any name: the start of `{"` in base64url, and a dot
_SECRETS = frozenset({"token", "access_token", "authorization", "auth", "jwt", "resume"})


@dataclass(frozen=True, slots=True)
class Rejection:
    """An HTTP answer instead of the upgrade."""

    status: HTTPStatus
    sentence: str


def check(target: str, headers: Mapping[str, str], allowed_origins: Sequence[str]) -> Rejection | None:
    """None to go on with the handshake. `headers` has lower-case names."""
    try:
        url = urlsplit(target)
    except ValueError:
        return Rejection(HTTPStatus.BAD_REQUEST, "the request target is no URL")
    if url.path != WEBSOCKET_PATH:
        return Rejection(HTTPStatus.NOT_FOUND, "the WebSocket is at /ws")
    if has_secret(url.query):
        return Rejection(HTTPStatus.BAD_REQUEST, "a token does not belong in a URL: send it in the first message")
    origin = headers.get("origin")
    if origin is not None and not origin_allowed(origin, headers.get("host", ""), allowed_origins):
        return Rejection(HTTPStatus.FORBIDDEN, "this origin may not connect")
    return None


def headers_of(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by their lower-case names; repeated ones are a list (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for key, value in items:
        name = key.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def has_secret(query: str) -> bool:
    """Whether a query, as it was sent, has a parameter for a token, or anything that looks like a JWT."""
    names = {name.lower() for name in parse_qs(query, keep_blank_values=True)}
    return bool(names & _SECRETS) or _JWT.search(unquote(query)) is not None


def origin_allowed(origin: str, host: str, allowed: Sequence[str]) -> bool:
    """Whether a page of this origin may connect: the origin is allowed, or it is this very host and port."""
    if "*" in allowed or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.path or parts.query or parts.fragment:
        return False
    return bool(host) and parts.netloc.lower() == host.lower()


def source_address(peer: str, forwarded_for: str | None, trusted: Sequence[str]) -> str:
    """The client's address. Behind trusted proxies: the last hop of `X-Forwarded-For` that is none of them."""
    hops = [hop.strip() for hop in (forwarded_for or "").split(",") if hop.strip()]
    address = peer
    while hops and is_in(address, trusted):
        address = hops.pop()
    return address


def is_in(address: str, networks: Sequence[str]) -> bool:
    """Whether an address, however it is written, is in one of these networks. What is no address is in none."""
    ip = parsed(address)
    return ip is not None and any(ip in network for network in _networks(tuple(networks)))


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> list[Network]:
    """The networks in the settings; what is none is left out."""
    found = []
    for text in texts:
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_network(text, strict=False))
    return found
