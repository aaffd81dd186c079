"""Who offers, who gives way, and what belongs to which round: perfect negotiation for a stack without rollback. Pure.

The rules are those of W3C webrtc-pc's example, with two things aiortc cannot do replaced: instead of a rollback, and
instead of an ICE restart, there is a new RTCPeerConnection. `negotiation` on the wire is `<generation>.<round>`:
the generation counts the connections of this pair, the round the sender's offers.
"""

import enum
import re

LABEL = re.compile(r"([0-9]{1,9})\.[0-9]{1,9}")  # <generation>.<round>


class Verdict(enum.Enum):
    """What to do with an offer."""

    DROP = "it is of an older connection"
    IGNORE = "ours collides with it, and the other end gives way"
    APPLY = "answer it"
    REPLACE = "answer it with a new connection"
    REBUILD = "offer a new connection instead"


class Negotiation:
    """The state between us and one other participant."""

    def __init__(self, *, polite: bool) -> None:
        self.polite = polite
        self.generation = 0
        self.pending: str | None = None  # our offer that waits for its answer
        self.established = False  # whether this generation has completed a round
        self.answered: str | None = None  # the offer that we answered last
        self._round = 0
        self._ignored: str | None = None

    def offer(self) -> str:
        """We offer: the name of this round."""
        self._round += 1
        self.pending = f"{self.generation}.{self._round}"
        return self.pending

    def rebuild(self) -> None:
        """A new connection: what comes of the one before is dropped from now on."""
        self._begin(self.generation + 1)

    def judge_offer(self, negotiation: str | None, *, restart: bool = False, closed: bool = False) -> Verdict:
        """What to do with an offer. `restart`: it is of another ICE generation than what was applied; `closed`: our
        connection was ended from the other side."""
        generation = self._generation_of(negotiation)
        if generation < self.generation:
            return Verdict.DROP
        if generation > self.generation:
            self._begin(generation)
            return Verdict.REPLACE
        if closed:
            self._begin(generation)
            return Verdict.REPLACE
        if self.pending is not None:
            return self._collision(negotiation)
        if restart and self.established:
            return Verdict.REBUILD
        return Verdict.APPLY

    def answering(self, negotiation: str | None) -> None:
        """We have answered an offer."""
        self.established = True
        self.pending = None
        self._ignored = None
        self.answered = negotiation

    def judge_answer(self, negotiation: str | None) -> bool:
        """Whether an answer is the one we wait for; then it is taken."""
        if self.pending is None or negotiation not in (None, self.pending):
            return False
        self.pending = None
        self.established = True
        return True

    def judge_candidate(self, negotiation: str | None) -> bool:
        """Whether a candidate belongs to a description that was applied."""
        if negotiation is None:
            return self._ignored is None
        return self._generation_of(negotiation) == self.generation and negotiation != self._ignored

    def _collision(self, negotiation: str | None) -> Verdict:
        if not self.polite:
            self._ignored = negotiation
            return Verdict.IGNORE
        if self.established:
            return Verdict.REBUILD
        self._begin(self.generation)
        return Verdict.REPLACE

    def _begin(self, generation: int) -> None:
        self.generation = generation
        self.pending = None
        self.established = False
        self.answered = None
        self._ignored = None

    def _generation_of(self, negotiation: str | None) -> int:
        """Of this client's kind or the present one: another client's words are opaque."""
        named = generation_of(negotiation)
        return self.generation if named is None else named


def generation_of(negotiation: str | None) -> int | None:
    """The generation that a label names; None if it does not say."""
    found = LABEL.fullmatch(negotiation or "")
    return int(found[1]) if found else None
