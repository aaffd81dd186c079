"""ICE servers with the short-lived credentials of the TURN REST API. Pure.

The username is `<end in Unix seconds>:<agent id>`, the password base64(HMAC-SHA1(secret, username)). A TURN server that
has the secret verifies them by itself, and refuses them after their end
(https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00). TURN servers support only SHA-1 here. Its
collisions do not weaken HMAC.
"""

import base64
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.auth.commands import IceServersIssued
from shared.auth.ice_server import IceServer
from shared.values.ids import AgentId
from shared.values.moment import rfc3339

# RFC 7064 (stun, stuns) and RFC 7065 (turn, turns): scheme ":" host [":" port] ["?transport=" transport].
_URI = re.compile(r"(stuns?|turns?):(\[[^\]]+\]|[^\[\]:?]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?", re.ASCII)
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class IceSettings:
    """The servers, the secret shared with the TURN servers, and how long credentials live (seconds)."""

    stun_urls: tuple[str, ...]
    turn_urls: tuple[str, ...]
    secret: bytes = field(repr=False)
    seconds: int


def issue(settings: IceSettings, agent_id: AgentId, now: float) -> IceServersIssued:
    """The servers, with this agent's credentials for the TURN servers. `now` is Unix seconds."""
    servers = [IceServer(urls=list(settings.stun_urls))] if settings.stun_urls else []
    if not settings.turn_urls:
        return IceServersIssued(ice_servers=servers)
    end = int(now) + settings.seconds
    username = f"{end}:{agent_id}"
    credential = base64.b64encode(hmac.digest(settings.secret, username.encode(), "sha1")).decode()
    servers.append(IceServer(urls=list(settings.turn_urls), username=username, credential=credential))
    return IceServersIssued(ice_servers=servers, expires_at=rfc3339(end))


def checked(urls: Sequence[str], schemes: tuple[str, str]) -> list[str]:
    """These URIs, if all are of one of the two schemes and well-formed. Raises ValueError with a sentence."""
    if not all(_is_uri(url, schemes) for url in urls):
        plain, secure = schemes
        transport = "[?transport=udp|tcp]" if plain == "turn" else ""
        raise ValueError(f"must be URIs of the form {plain}:host[:port]{transport} or {secure}:…, separated by commas")
    return list(urls)


def _is_uri(url: str, schemes: tuple[str, str]) -> bool:
    match = _URI.fullmatch(url)
    if match is None or match[1] not in schemes:
        return False
    host, port, transport = match[2], match[3], match[4]
    if transport is not None and not match[1].startswith("turn"):
        return False
    return _is_host(host) and (port is None or 1 <= int(port) <= 65535)


def _is_host(host: str) -> bool:
    """An IPv4 address, an IPv6 address in brackets, or the name of a host."""
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1]).scope_id is None
        if re.fullmatch(r"[\d.]+", host):
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return host.startswith("[") or _HOST_NAME.fullmatch(host) is not None
