"""SDP at the edges of its limits, and at which line what is wrong stands."""

import pytest

from shared.values.errors import Code, Refused
from shared.wire.sdp import MAX_LINE, MAX_LINES, MAX_MEDIA_SECTIONS, Kind, check_sdp
from tests.unit.test_sdp import ANSWER, NO_MEDIA, OFFER, SHA_256, edited

MEDIA = OFFER[OFFER.index("m=") :]
REJECTED = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n"
UFRAG = next(line for line in OFFER.split("\r\n") if line.startswith("a=ice-ufrag")) + "\r\n"
SHA_1 = f"a=fingerprint:sha-1 {'AB:' * 19}AB\r\n"


@pytest.mark.parametrize(
    "sdp",
    [
        edited("m=application 9", "m=application 65535"),
        OFFER + f"a=x:{'y' * (MAX_LINE - 4)}\r\n",
        edited("m=", UFRAG + "m=", OFFER.replace(UFRAG, "")) + SHA_1,
        edited("m=", f"a=fingerprint:{SHA_256}\r\nm="),
    ],
    ids=[
        "highest port",
        "long line",
        "a weak hash beside a strong one, and a ufrag of the session",
        "two fingerprints",
    ],
)
def test_what_is_allowed_to_the_end(sdp: str) -> None:
    """It passes."""
    check_sdp(sdp, "offer")


def test_size_is_the_last_byte_of_ascii_too() -> None:
    """As many characters as bytes are allowed pass; one byte less allowed, and it is too large."""
    check_sdp(OFFER, "offer", max_bytes=len(OFFER))
    with pytest.raises(Refused) as refused:
        check_sdp(OFFER, "offer", max_bytes=len(OFFER) - 1)
    assert refused.value.code is Code.TOO_LARGE


def test_the_shortest_lines_are_counted() -> None:
    """As many lines as may be pass, however short; one more does not."""
    sdp = NO_MEDIA.replace("\r\n", "\n")
    sdp += "a=x\n" * (MAX_LINES - sdp.count("\n"))
    check_sdp(sdp, "offer")
    with pytest.raises(Refused) as refused:
        check_sdp(sdp + "a=x\n", "offer")
    assert refused.value.code is Code.INVALID_SDP


WRONG: dict[str, tuple[str, Kind, int, str]] = {
    "port 65536": (edited("m=application 9", "m=application 65536"), "offer", 8, "the port is above 65535"),
    "65 sections": (
        NO_MEDIA + REJECTED * (MAX_MEDIA_SECTIONS + 1),
        "offer",
        NO_MEDIA.count("\n") + 65,
        "there are more",
    ),
    "an answer that leaves its role open": (
        edited("a=setup:active", "a=setup:actpass", ANSWER),
        "answer",
        0,
        "a=setup",
    ),
    "the session's mid": (edited("m=", "a=mid:1\r\nm="), "offer", 1, "the session has a=mid"),
    "m= without formats": (edited(" webrtc-datachannel", ""), "offer", 8, "m= needs a port"),
    "a line of no kind with two equals signs": (OFFER + "ab=c=d\r\n", "offer", 18, "not one of the lines"),
    "an attribute with an equals sign in its value": (OFFER + "a=mid:a=b \r\n", "offer", 18, "a=mid is malformed"),
    "a line of the kind X": (OFFER + "X=1\r\n", "offer", 18, "not one of the lines"),
    "a wrong line as long as may be": (OFFER + f"X={'y' * (MAX_LINE - 2)}\r\n", "offer", 18, "not one of the lines"),
    "a name of more than 64 characters": (
        OFFER + f"a=mid{'X' * 62}\r\n",
        "offer",
        18,
        "the attribute's name or value is malformed",
    ),
    "a space behind a name": (OFFER + "a=mid \r\n", "offer", 18, "the attribute's name or value is malformed"),
    "an empty line first": ("\n" + OFFER.replace("\r\n", "\n"), "offer", 1, "the description must begin with v=0"),
    "an empty line first, and a line separator": ("\nv=0\ns=\u2028\n", "offer", 3, "a control character, another"),
}


@pytest.mark.parametrize("name", WRONG)
def test_where_it_is_wrong(name: str) -> None:
    """The sentence begins with the line, and `details` have it too."""
    sdp, kind, line, sentence = WRONG[name]
    line = line or 1 + sdp[: sdp.index("m=")].count("\n")
    with pytest.raises(Refused) as refused:
        check_sdp(sdp, kind)
    assert refused.value.message.startswith(f"line {line}: {sentence}")
    assert refused.value.details == {"line": line}
