"""The rules of negotiation, and what they read in descriptions, without a network."""

import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from parley.rtc.negotiation import Negotiation, Verdict
from parley.rtc.sections import sections, ufrags


def test_sections_of_a_description() -> None:
    """Kinds, mids, directions, streams and ICE generations are read as they stand, session attributes as defaults."""
    sdp = (
        "v=0\r\na=ice-ufrag:one\r\na=sendonly\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=msid:cam track\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\na=ice-ufrag:two\r\nm=video 0 X 1\r\na=sendrecv\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n"
    )
    found = sections(sdp)
    assert [(one.kind, one.mid, one.sends, one.stream) for one in found] == [
        ("audio", "0", True, "cam"),
        ("video", "1", False, None),
        ("video", "", False, None),
        ("application", "d", False, None),
    ]
    assert ufrags(sdp) == {"one", "two"}


class End:
    """One end of a pair, as `Peer` acts on a Negotiation, with a connection that is no more than its generation."""

    def __init__(self, *, polite: bool) -> None:
        self.rules = Negotiation(polite=polite)
        self.out: deque[tuple[str, str | None]] = deque()
        self.wants = False

    def step(self, message: tuple[str, str | None] | None) -> None:
        """Take a message, or do what is due."""
        if message is None:
            if self.wants and self.rules.pending is None:
                self.wants = False
                self.out.append(("offer", self.rules.offer()))
            return
        type_, negotiation = message
        if type_ == "answer":
            self.rules.judge_answer(negotiation)
            return
        verdict = self.rules.judge_offer(negotiation)
        if verdict is Verdict.REBUILD:
            self.rules.rebuild()
            self.out.append(("offer", self.rules.offer()))
        elif verdict in (Verdict.APPLY, Verdict.REPLACE):
            self.out.append(("answer", negotiation))
            self.rules.answering(negotiation)


@given(st.integers(0, 2**32))
def test_two_ends_always_agree(seed: int) -> None:
    """However offers collide, rebuilds cross and messages are delayed: when all is delivered nobody waits for an
    answer, and both are on the same connection."""
    chance = random.Random(seed)
    ends = (End(polite=True), End(polite=False))
    for n in range(200):
        end, other = chance.sample(ends, 2)
        if n < 60 and chance.random() < 0.3:
            end.wants = True
        if n < 60 and chance.random() < 0.05:
            end.rules.rebuild()
            end.out.append(("offer", end.rules.offer()))
        if chance.random() < 0.5:
            end.step(None)
        elif other.out:
            end.step(other.out.popleft())
    for _ in range(200):
        for end, other in (ends, ends[::-1]):
            end.step(other.out.popleft() if other.out else None)
    assert [end.rules.pending for end in ends] == [None, None]
    assert ends[0].rules.generation == ends[1].rules.generation
    assert not any(end.out for end in ends)


def test_what_is_of_another_round_is_dropped() -> None:
    """Lower generations, answers to other offers, and candidates of ignored offers are dropped; another client's
    opaque negotiation counts as current."""
    rules = Negotiation(polite=False)
    rules.rebuild()
    assert rules.judge_offer("0.7") is Verdict.DROP
    assert rules.judge_offer("n1") is Verdict.APPLY
    mine = rules.offer()
    assert mine == "1.1"
    assert not rules.judge_answer("1.0")
    assert rules.judge_offer("1.4") is Verdict.IGNORE
    assert not rules.judge_candidate("1.4")
    assert rules.judge_candidate("1.3")
    assert not rules.judge_candidate("0.3")
    assert rules.judge_answer(mine)
    assert not rules.judge_answer(mine)
    assert rules.judge_offer("2.9") is Verdict.REPLACE
    assert rules.generation == 2
    rules.answering("2.9")
    assert rules.judge_offer("2.10", restart=True) is Verdict.REBUILD
    assert rules.judge_offer("2.10", closed=True) is Verdict.REPLACE


def test_whoever_gives_way_builds_anew() -> None:
    """The polite end answers a colliding offer with a new connection while nothing is set up, and offers one of the
    next generation once something is: its old one cannot take its own offer back."""
    rules = Negotiation(polite=True)
    rules.offer()
    assert rules.judge_offer("0.1") is Verdict.REPLACE
    assert (rules.generation, rules.pending) == (0, None)
    rules.answering("0.1")
    rules.offer()
    assert rules.judge_offer("0.2") is Verdict.REBUILD
    rules.rebuild()
    assert rules.offer() == "1.3"
    assert not rules.judge_candidate("0.2")
