"""A STUN or TURN server as clients get it, with the client's own credentials."""

from pydantic import Field

from shared.values.model import Strict


def _unset(value: str | None) -> bool:
    return value is None


class IceServer(Strict):
    """An RTCIceServer (W3C webrtc-pc 4.2.4). Fields that are not set are left out, since browsers refuse null there."""

    urls: list[str]
    username: str | None = Field(None, exclude_if=_unset, repr=False)
    credential: str | None = Field(None, exclude_if=_unset, repr=False)
