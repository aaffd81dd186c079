"""Whatever a description says: the work is bounded, refusals are all that comes out, and they repeat nothing of it."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.values.errors import Code, Refused
from shared.wire.candidate import DEFAULT_POLICY, candidate_fault
from shared.wire.sdp import Kind, check_sdp
from tests.unit.test_sdp import NO_MEDIA, OFFER, SAMPLES, SHA_256, edited, kind_of

CANARY = "203.0.113.222"


@pytest.mark.parametrize("place", range(OFFER.count("\r\n")))
def test_a_refusal_never_repeats_the_description(place: int) -> None:
    """Whatever line is broken, no word of it is in the sentence or the details."""
    lines = OFFER.split("\r\n")
    broken = f"a=candidate:1 1 udp 1 {CANARY} 0 typ host", f"a=mid:{CANARY} x", f"{lines[place]}\x01{CANARY}"
    for line in (CANARY, *broken):
        with pytest.raises(Refused) as refused:
            check_sdp("\r\n".join([*lines[:place], line, *lines[place + 1 :]]), "offer")
        assert CANARY not in refused.value.message + repr(refused.value.details)


HOSTILE: dict[str, Callable[[int], str]] = {
    "one long line": lambda n: NO_MEDIA + "a=x:" + "y" * n + "\r\n",
    "no line ends": lambda n: "v=0 " * (n // 4),
    "short attributes": lambda n: NO_MEDIA + "a=x:yyyyyyyyyyyyyyyyy\r\n" * (n // 24) + "a=",
    "candidates": lambda n: OFFER + "a=candidate:1 1 udp 1 2001:db8::1 9 typ host a b\r\n" * (n // 52) + "x",
    "one candidate": lambda n: OFFER + "a=candidate:1 1 udp 1 2001:db8::1 9 typ host" + " a b" * (n // 4),
    "fingerprints": lambda n: OFFER + f"a=fingerprint:{SHA_256}\r\n" * (n // 120) + "a=fingerprint:",
    "media lines": lambda n: NO_MEDIA + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n" * (n // 32),
    "mids": lambda n: edited("BUNDLE 0", "BUNDLE" + " 0" * (n // 2)),
    "session lines": lambda n: edited("t=0 0\r\n", "e=x\r\n" * (n // 6)),
    "times": lambda n: edited("t=0 0\r\n", "t=0 0\r\nr=x\r\n" * (n // 12) + "t="),
    "carriage returns": lambda n: NO_MEDIA + "\r" * n,
    "colons": lambda n: OFFER + "a=" + ":" * n,
}


def steps(sdp: str) -> int:
    """How many Python instructions the check takes. It raises or not; both are answers."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        check_sdp(sdp, "offer")
    except Refused:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", HOSTILE)
def test_work_is_linear(shape: str) -> None:
    """Twice as much hostile input takes no more than about twice the instructions, however it is shaped."""
    once, twice = (steps(HOSTILE[shape](length)) for length in (12_000, 24_000))
    assert twice <= 2.2 * once + 500


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Kind]:
    """A sample with a few parts removed, doubled, moved or replaced."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    sdp = SAMPLES[name]
    telling = st.sampled_from(["\r\n", "\n", "\r", "\u2028", ":", "=", " ", "a=crypto:", "m="])
    piece = st.one_of(st.text(max_size=8), telling)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(sdp)))
        end = draw(st.integers(start, len(sdp)))
        if draw(st.booleans()):
            end = min(end, start + 3)
        sdp = sdp[:start] + draw(st.one_of(piece, st.just(sdp[start:end] * 2))) + sdp[end:]
    return sdp, kind_of(name)


@given(st.one_of(spoiled(), st.tuples(st.text(), st.sampled_from(["offer", "answer"]))))
def test_only_refusals_come_out(case: tuple[str, Kind]) -> None:
    """Any text is accepted as it is or `Refused`; and what is accepted hides no line from any parser."""
    sdp, kind = case
    try:
        check_sdp(sdp, kind)
    except Refused as refused:
        assert refused.code in (Code.INVALID_SDP, Code.TOO_LARGE)  # noqa: PT017 - either outcome is right
        return
    lines = sdp.splitlines()
    assert len(lines) == sdp.count("\n")
    assert not any(line.startswith("a=crypto") for line in lines)
    assert not any(candidate_fault(line[12:], DEFAULT_POLICY) for line in lines if line.startswith("a=candidate:"))
