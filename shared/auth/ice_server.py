"""An ICE server as clients get it: how a browser finds a way to another one, with credentials of its own."""

from pydantic import Field

from shared.values.model import Strict


def _unset(value: str | None) -> bool:
    return value is None


class IceServer(Strict):
    """An RTCIceServer (W3C webrtc-pc 4.2.4). What is not set is left out: browsers refuse null there."""

    urls: list[str]
    username: str | None = Field(None, exclude_if=_unset, repr=False)
    credential: str | None = Field(None, exclude_if=_unset, repr=False)
