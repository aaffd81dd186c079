"""A STUN or TURN server that a room gives its participants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class IceServer:
    """An RTCIceServer (W3C webrtc-pc). The credential is a secret, and is not shown."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


def ice_servers(raw: Iterable[Mapping[str, Any]] | None) -> tuple[IceServer, ...]:
    """The servers of `room_users` or of an `ice_servers` push."""
    found = []
    for one in raw or ():
        urls = one.get("urls", ())
        found.append(
            IceServer((urls,) if isinstance(urls, str) else tuple(urls), one.get("username"), one.get("credential"))
        )
    return tuple(found)
