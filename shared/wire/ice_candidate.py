"""An ICE candidate on the wire, in both directions: what a browser's `toJSON()` gives."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.values.model import Strict


class IceCandidate(Strict):
    """`RTCIceCandidate.toJSON()` (W3C webrtc-pc, RTCIceCandidateInit)."""

    candidate: str
    sdp_mid: Annotated[str, StringConstraints(max_length=256)] | None = None
    sdp_m_line_index: Annotated[int, Field(ge=0, le=65535)] | None = None
    username_fragment: Annotated[str, StringConstraints(max_length=256)] | None = None
