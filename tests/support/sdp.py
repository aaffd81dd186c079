"""Session descriptions and candidates that real implementations made."""

from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "unit" / "samples"


def sample(name: str) -> str:
    """One of the stored descriptions, verbatim."""
    return (SAMPLES / f"{name}.sdp").read_bytes().decode()


def offer() -> str:
    """An offer of a browser."""
    return sample("chrome_data_offer")


def answer() -> str:
    """An answer of aiortc."""
    return sample("aiortc_data_answer")


def candidate() -> dict[str, Any]:
    """`RTCIceCandidate.toJSON()` of a browser."""
    return {
        "candidate": "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0",
        "sdpMid": "0",
        "sdpMLineIndex": 0,
        "usernameFragment": "EsAw",
    }
