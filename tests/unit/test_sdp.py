"""What `shared.wire.sdp` claims: which session descriptions pass, which do not, at which line, and at what cost.

The samples are descriptions as browsers, Pion and libdatachannel write them, and real ones of aiortc 1.16.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from shared.values.errors import Code, Refused
from shared.wire.candidate import CandidatePolicy
from shared.wire.sdp import MAX_LINE, MAX_LINES, MAX_MEDIA_SECTIONS, Kind, check_sdp

SAMPLES = {path.stem: path.read_bytes().decode() for path in (Path(__file__).parent / "samples").glob("*.sdp")}
OFFER = SAMPLES["chrome_data_offer"]
ANSWER = SAMPLES["chrome_data_answer"]
SHA_256 = re.search("a=fingerprint:(.*)\r\n", OFFER)[1]  # type: ignore[index]


def kind_of(name: str) -> Kind:
    """Whether the sample of this name is an offer or an answer."""
    return "offer" if "offer" in name else "answer"


def edited(old: str, new: str, sdp: str = OFFER, count: int = 1) -> str:
    """The description with a part replaced that must be there."""
    assert old in sdp
    return sdp.replace(old, new, count)


def why_not(sdp: str, kind: Kind = "offer", **options: Any) -> str:
    """The sentence of the refusal."""
    with pytest.raises(Refused) as refused:
        check_sdp(sdp, kind, **options)
    assert refused.value.code is Code.INVALID_SDP
    return refused.value.message


@pytest.mark.parametrize("name", sorted(SAMPLES))
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_real_descriptions_pass(name: str, end: str) -> None:
    """Offers and answers of every endpoint pass as they are, and also with all lines ended by LF."""
    assert "\r\n" in SAMPLES[name]
    check_sdp(SAMPLES[name].replace("\r\n", end), kind_of(name))


def test_what_aiortc_offers_here_passes() -> None:
    """No description that aiortc makes on this machine, whatever its interfaces, is refused."""
    import asyncio

    from aiortc import RTCPeerConnection

    async def negotiate() -> tuple[str, str]:
        one, other = RTCPeerConnection(), RTCPeerConnection()
        one.createDataChannel("chat")
        one.addTransceiver("audio")
        await one.setLocalDescription(await one.createOffer())
        await other.setRemoteDescription(one.localDescription)
        await other.setLocalDescription(await other.createAnswer())
        descriptions = one.localDescription.sdp, other.localDescription.sdp
        await one.close()
        await other.close()
        return descriptions

    offer, answer = asyncio.run(negotiate())
    check_sdp(offer, "offer")
    check_sdp(answer, "answer")


NO_MEDIA = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    "sdp",
    [
        NO_MEDIA,
        NO_MEDIA + "a=group:BUNDLE\r\na=msid-semantic: WMS\r\n",
        "v=0\r\no=- 1 1 IN IP6 ::1\r\ns= \r\ni=x\r\nu=x\r\ne=x\r\np=x\r\nc=IN IP4 ::\r\nb=AS:1\r\nt=0 0\r\nr=x\r\n",
        edited("c=IN IP4 0.0.0.0\r\n", "i=café 🎉\r\nc=IN IP4 0.0.0.0\r\nb=AS:30\r\nb=TIAS:30000\r\nk=x\r\n"),
        edited("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"),
        edited("UDP/DTLS/SCTP webrtc-datachannel", "TCP/DTLS/RTP/SAVPF 96"),
        edited(SHA_256, f"sha-1 {'AB:' * 19}AB\r\na=fingerprint:{SHA_256}"),
        edited(SHA_256, f"SHA-512 {'ab:' * 63}ab"),
        edited("actpass", "active"),
        edited("a=setup:actpass\r\na=mid:0\r\n", "a=mid:0\r\na=setup:passive\r\n"),
        edited("a=mid:0\r\n", "", edited("a=group:BUNDLE 0\r\n", "")),
        edited("a=mid:0\r\n", f"a=mid:0\r\na=x:{'y' * (MAX_LINE - 4)}\r\n"),
    ],
)
def test_unusual_descriptions_pass(sdp: str) -> None:
    """What the RFCs allow is accepted even if no browser writes it today."""
    check_sdp(sdp, "offer")


CASES = {
    "empty": ("", "line 1: the description must begin"),
    "not v=0": (edited("v=0", "v=1"), "line 1: the description must begin"),
    "text before": ("\r\n" + OFFER, "line 1: the description must begin"),
    "no o=": (re.sub("o=.*\r\n", "", OFFER), "line 2: o="),
    "no s=": (edited("s=-\r\n", ""), "line 3: s="),
    "no t=": (edited("t=0 0\r\n", ""), "line 4: t="),
    "two v=": (edited("v=0\r\n", "v=0\r\nv=0\r\n"), "line 2: o="),
    "two o=": (edited("s=-\r\n", "o=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"), "line 3: s="),
    "two s=": (edited("s=-\r\n", "s=-\r\ns=-\r\n"), "line 4: t="),
    "late o=": (OFFER + "o=- 1 1 IN IP4 0.0.0.0\r\n", "line 18: o= is malformed, repeated or out of order"),
    "late s=": (edited("a=mid", "s=-\r\na=mid"), "line 15: s="),
    "bad o= number": (re.sub("o=- [0-9]+", "o=- x", OFFER), "line 2: o="),
    "long o= number": (re.sub("o=- [0-9]+", "o=- " + "9" * 21, OFFER), "line 2: o="),
    "negative o= number": (re.sub("o=- [0-9]+", "o=- -1", OFFER), "line 2: o="),
    "session lines out of order": (edited("t=0 0\r\n", "b=AS:1\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"), "line 5: t="),
    "t= after a=": (edited("t=0 0\r\n", "a=x\r\nt=0 0\r\n"), "line 4: t="),
    "c= after the session's a=": (edited("a=extmap-allow-mixed", "c=IN IP4 0.0.0.0"), "line 6: i=, c="),
    "b= after the session's a=": (edited("a=extmap-allow-mixed", "b=AS:1"), "line 6: i=, c="),
    "malformed c= after a=": (OFFER + "c=IN IP5 0.0.0.0\r\n", "line 18: c="),
    "a control character in c= after a=": (OFFER + "c=IN IP4 0.0.0.0\x00\r\n", "line 18: a control"),
    "malformed c=": (edited("c=IN IP4", "c=IN IP5"), "line 9: c="),
    "no kind of line": (OFFER + "x=1\r\n", "line 18: not one of the lines"),
    "no equals sign": (OFFER + "a\r\n", "line 18: not one of the lines"),
    "empty line": (OFFER + "\r\n", "line 18: not one of the lines"),
    "empty line in the session": (edited("s=-\r\n", "\r\ns=-\r\n"), "line 3: s="),
    "NUL": (edited("a=mid:0", "a=x:\0\r\na=mid:0"), "line 15: a control character"),
    "tab": (edited("a=mid:0", "a=x:\t\r\na=mid:0"), "line 15: a control character"),
    "vertical tab": (edited("s=-", "s=\x0b"), "line 3: a control character"),
    "delete": (edited("a=mid:0", "a=mid:\x7f"), "line 15: a control character"),
    "lone CR": (edited("a=mid:0", "a=x:y\ra=mid:0"), "line 15: a control character, or a CR"),
    "CR only": (OFFER.replace("\r\n", "\r"), "line 1: "),
    "mixed line ends": (edited("a=mid:0\r\n", "a=mid:0\n"), "line 15: the line ends with LF"),
    "mixed the other way": (edited("a=mid:0\n", "a=mid:0\r\n", OFFER.replace("\r\n", "\n")), "line 1: the line ends"),
    "no last line end": (OFFER.removesuffix("\r\n"), "line 17: the last line has no line end"),
    "half a last line end": (OFFER.removesuffix("\n"), "line 17: the last line has no line end"),
    "line separator": (edited("a=mid:0", "a=x:\u2028a=crypto:1\r\na=mid:0"), "line 15: a control character, another"),
    "next line": (edited("a=mid:0", "a=x:\x85\r\na=mid:0"), "line 15: a control character, another"),
    "half a surrogate pair": (edited("a=mid:0", "a=x:\ud83c\r\na=mid:0"), "line 15: a control character, another"),
    "port 70000": (edited("m=application 9", "m=application 70000"), "line 8: the port"),
    "port 655360": (edited("m=application 9", "m=application 655360"), "line 8: m="),
    "port with a count": (edited("m=application 9", "m=application 9/2"), "line 8: m="),
    "no formats": (edited(" webrtc-datachannel", ""), "line 8: m="),
    "plain RTP": (edited("UDP/DTLS/SCTP webrtc-datachannel", "RTP/AVP 0"), "line 8: m="),
    "plain RTP with feedback": (edited("UDP/DTLS/SCTP webrtc-datachannel", "RTP/AVPF 0"), "line 8: m="),
    "SDES RTP": (edited("UDP/DTLS/SCTP webrtc-datachannel", "RTP/SAVPF 0"), "line 8: m="),
    "SCTP without DTLS": (edited("UDP/DTLS/SCTP", "UDP/SCTP"), "line 8: m="),
    "a=crypto": (OFFER + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", "line 18: a=crypto"),
    "a=crypto alone": (OFFER + "a=crypto\r\n", "line 18: a=crypto"),
    "a=crypto in the session": (edited("m=", "a=crypto:x\r\nm="), "line 8: a=crypto"),
    "no fingerprint": (edited(f"a=fingerprint:{SHA_256}\r\n", ""), "line 8: the media section has no a=fingerprint"),
    "SHA-1 only": (
        edited(SHA_256, f"sha-1 {'AB:' * 19}AB"),
        "line 8: the media section has no a=fingerprint of sha-256",
    ),
    "MD5 only": (edited(SHA_256, f"md5 {'AB:' * 15}AB"), "line 8: the media section has no a=fingerprint of sha-256"),
    "SHA-1 hides the session's": (
        edited("m=", f"a=fingerprint:{SHA_256}\r\nm=", edited(SHA_256, f"sha-1 {'AB:' * 19}AB")),
        "line 9: the media section has no a=fingerprint of sha-256",
    ),
    "short fingerprint": (edited(SHA_256, SHA_256[:-3]), "line 13: a=fingerprint"),
    "long fingerprint": (edited(SHA_256, SHA_256 + ":AB"), "line 13: a=fingerprint"),
    "misplaced colons": (edited(SHA_256, f"sha-256 {'A:' * 47}A"), "line 13: a=fingerprint"),
    "no hexadecimal digits": (edited(SHA_256, f"sha-256 {'XY:' * 31}XY"), "line 13: a=fingerprint"),
    "hash in look-alike letters": (edited("sha-256", "\u017fha-256"), "line 13: a=fingerprint"),
    "unknown hash": (edited(SHA_256, f"crc-32 {'AB:' * 3}AB"), "line 13: a=fingerprint"),
    "no a=ice-ufrag": (re.sub("a=ice-ufrag.*\r\n", "", OFFER), "line 8: the media section has no a=ice-ufrag"),
    "no a=ice-pwd": (re.sub("a=ice-pwd.*\r\n", "", OFFER), "line 8: the media section has no a=ice-pwd"),
    "short a=ice-ufrag": (re.sub("a=ice-ufrag.*\r\n", "a=ice-ufrag:abc\r\n", OFFER), "line 10: a=ice-ufrag"),
    "long a=ice-ufrag": (re.sub("a=ice-ufrag.*\r\n", f"a=ice-ufrag:{'a' * 257}\r\n", OFFER), "line 10: a=ice-ufrag"),
    "short a=ice-pwd": (re.sub("a=ice-pwd.*\r\n", f"a=ice-pwd:{'a' * 21}\r\n", OFFER), "line 11: a=ice-pwd"),
    "other characters": (re.sub("a=ice-pwd.*\r\n", f"a=ice-pwd:{'a' * 22}-\r\n", OFFER), "line 11: a=ice-pwd"),
    "two a=ice-pwd": (OFFER + f"a=ice-pwd:{'a' * 22}\r\n", "line 18: this attribute occurs twice"),
    "no a=setup": (edited("a=setup:actpass\r\n", ""), "line 8: the media section has no a=setup"),
    "a=setup:holdconn": (edited("actpass", "holdconn"), "line 14: a=setup"),
    "a=setup of no kind": (edited("actpass", "actpassive"), "line 14: a=setup"),
    "two a=setup": (OFFER + "a=setup:active\r\n", "line 18: this attribute occurs twice"),
    "a=mid missing": (edited("a=mid:0\r\n", ""), "line 5: a=group:BUNDLE names a mid that no"),
    "a=mid empty": (edited("a=mid:0", "a=mid:"), "line 15: a=mid"),
    "a=mid twice in a section": (OFFER + "a=mid:1\r\n", "line 18: this attribute occurs twice"),
    "a=mid twice": (OFFER + OFFER[OFFER.index("m=") :], "line 18: two media sections have the same a=mid"),
    "a=mid in the session": (edited("m=", "a=mid:1\r\nm="), "line 1: the session has a=mid"),
    "mid twice in BUNDLE": (edited("BUNDLE 0", "BUNDLE 0 0"), "line 5: a=group:BUNDLE names a mid twice"),
    "two BUNDLEs": (edited("m=", "a=group:BUNDLE 0\r\nm="), "line 8: a=group:BUNDLE names a mid twice"),
    "a=group in a section": (OFFER + "a=group:BUNDLE 0\r\n", "line 18: a=group is only for the session"),
    "attribute name": (OFFER + "a=na me:x\r\n", "line 18: the attribute's name"),
    "no attribute name": (OFFER + "a=:x\r\n", "line 18: the attribute's name"),
    "space before the name": (OFFER + "a= crypto:x\r\n", "line 18: the attribute's name"),
    "long line": (OFFER + f"a=x:{'y' * (MAX_LINE + 1)}\r\n", "line 18: the line is longer"),
    "long line in the session": (edited("s=-", "s=" + "x" * (MAX_LINE + 1)), "line 3: the line is longer"),
    "many lines": (OFFER + "a=x\r\n" * MAX_LINES, f"the description has more than {MAX_LINES} lines"),
    "candidate in the session": (
        edited("m=", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\nm="),
        "line 8: a=candidate",
    ),
    "malformed candidate": (OFFER + "a=candidate:1 1 udp 1 010.0.0.1 9 typ host\r\n", "line 18: the candidate names"),
    "loopback candidate": (
        OFFER + "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n",
        "line 18: the candidate names a l",
    ),
    "metadata candidate": (OFFER + "a=candidate:1 1 udp 1 169.254.169.254 80 typ host\r\n", "line 18: the candidate"),
    "a=candidate without value": (OFFER + "a=candidate\r\n", "line 18: a=candidate is malformed"),
}


@pytest.mark.parametrize(("sdp", "sentence"), CASES.values(), ids=CASES.keys())
def test_a_broken_rule_is_refused_at_its_line(sdp: str, sentence: str) -> None:
    """Each broken rule has a sentence that names it and the line."""
    assert why_not(sdp).startswith(sentence)


@pytest.mark.parametrize("role", ["actpass", "holdconn"])
@pytest.mark.parametrize("where", ["session", "section"])
def test_an_answer_chooses_a_dtls_role(role: str, where: str) -> None:
    """An answer that leaves the DTLS role open cannot start: RFC 8842 section 5.3."""
    sdp = edited("a=setup:active\r\n", "", ANSWER)
    assert "a=setup" in why_not(sdp, "answer")
    line = f"a=setup:{role}\r\n"
    assert "a=setup" in why_not(edited("m=", line + "m=", sdp) if where == "session" else sdp + line, "answer")


def test_media_sections_are_bounded() -> None:
    """64 media sections pass, 65 do not, 1,000 do not."""
    section = edited("a=mid:0\r\n", "", OFFER[OFFER.index("m=") :])
    many = NO_MEDIA + section * MAX_MEDIA_SECTIONS
    check_sdp(many, "offer")
    for sdp in (many + section, NO_MEDIA + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n" * 1000):
        assert "64 m= lines" in why_not(sdp)


def test_size_is_counted_in_bytes() -> None:
    """So many bytes of UTF-8 as the limit says pass, one more is too large, however few characters it is."""
    line = "a=x:" + "é" * 2000 + "\r\n"
    sdp = OFFER + line * 7
    sdp += "a=x:\r\n" * 50
    sdp += "a=x:" + "y" * (32768 - len(sdp.encode()) - 6) + "\r\n"
    check_sdp(sdp, "offer", max_bytes=32768)
    for larger in (edited("s=-", "s=--", sdp), OFFER + line * 8 + line[:-400] + "\r\n", "é" * 10**6):
        with pytest.raises(Refused) as refused:
            check_sdp(larger, "offer", max_bytes=32768)
        assert refused.value.code is Code.TOO_LARGE


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_lines_of_a_section_in_any_order(end: str) -> None:
    """Media servers and cameras write `c=`, `b=`, `i=` and `k=` behind a section's attributes, as browsers read them."""
    late = "c=IN IP4 0.0.0.0\r\nb=AS:300\r\na=x-more\r\ni=camera\r\nb=TIAS:300000\r\nk=prompt\r\nc=IN IP6 ::\r\n"
    for sdp in (OFFER + late, edited("c=IN IP4 0.0.0.0\r\n", "", OFFER) + late, OFFER + late + "a=sendrecv\r\n"):
        check_sdp(sdp.replace("\r\n", end), "offer")


def test_sections_without_foundations() -> None:
    """A description whose candidates have empty foundations passes, like such a candidate alone."""
    check_sdp(OFFER + "a=candidate: 1 udp 2113937151 192.0.2.1 50000 typ host\r\n", "offer")


def test_lines_are_bounded() -> None:
    """As many lines as the limit says pass, and not one more."""
    lines = OFFER.count("\n") + 3000
    check_sdp(OFFER + "a=x:y\r\n" * 3000, "offer", max_lines=lines)
    assert f"more than {lines - 1} lines" in why_not(OFFER + "a=x:y\r\n" * 3000, max_lines=lines - 1)


def test_candidates_follow_the_policy() -> None:
    """A description's candidates are verified like trickled ones, by the same policy."""
    local = OFFER + "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
    check_sdp(local, "offer", policy=CandidatePolicy(allow_loopback=True))
    pion = SAMPLES["pion_audio_data_offer"]
    assert "link-local" in why_not(pion, policy=CandidatePolicy(allow_link_local=False))


def test_a_bundled_section_may_lean_on_the_first_only() -> None:
    """RFC 9143: transport lines may be left to the section that BUNDLE names first; not to others."""
    sdp = SAMPLES["jsep_bundled_answer"]
    for group in ("BUNDLE a1", "BUNDLE v1 a1"):
        sentence = why_not(edited("BUNDLE a1 v1", group, sdp), "answer")
        assert sentence == "line 23: the media section has no a=ice-ufrag"
