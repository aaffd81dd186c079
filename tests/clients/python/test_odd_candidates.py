"""Candidates as some media servers write them, which browsers read and aiortc alone does not."""

import pytest
from aiortc import RTCConfiguration
from parley.rtc.peer_connection import PeerConnection

from tests.support.sdp import offer

ODD = "candidate: 1 udp 2113937151 192.0.2.1 50000 typ host"


@pytest.mark.parametrize("candidate", [ODD, f"a={ODD}", ODD.replace(": ", ":7 "), "a=" + ODD.replace(": ", ":7 ")])
async def test_they_are_taken(candidate: str) -> None:
    """An empty foundation and a whole line are read, in a description and trickled, and reach aiortc as what they are."""
    connection = PeerConnection(RTCConfiguration(iceServers=[]), {}, frozenset({"audio"}), "screen", lambda _: None)
    try:
        await connection.answer(offer() + f"a={ODD}\r\n")
        trickled = candidate.replace("192.0.2.1", "192.0.2.2")
        await connection.add_candidate({"candidate": trickled, "sdpMid": "0"})
        assert connection.pc.sctp is not None
        taken = connection.pc.sctp.transport.transport._connection.remote_candidates
        assert {"192.0.2.1", "192.0.2.2"} <= {one.host for one in taken}
    finally:
        await connection.pc.close()
