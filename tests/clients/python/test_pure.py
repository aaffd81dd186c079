"""The client's rules, without a network."""

import ast
import asyncio
import random
import re
import sys
from collections import deque
from pathlib import Path
from typing import Any

import parley
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.credentials import Credentials
from parley.events import Missed, ParticipantJoined, ParticipantLeft
from parley.feed import Feed
from parley.ice_server import ice_servers
from parley.merge_patch import merge_patch
from parley.profile import Profile
from parley.requests import CAPACITY, Requests
from parley.roster import Roster
from parley.rtc.negotiation import Negotiation, Verdict
from parley.rtc.sections import sections, ufrags
from parley.transport.backoff import Backoff
from parley.transport.endpoint import endpoint
from parley.transport.link import is_final

from shared.rooms import model as wire
from shared.values.errors import CloseCode

SOURCES = Path(parley.__file__).parent


def participant(n: int, **fields: Any) -> dict[str, Any]:
    """As it stands on the wire."""
    return {"id": f"p{n}", "agentId": f"agent-{n}", "order": n, "name": f"N{n}", "metadata": {}, **fields}


def users(revision: int, *who: dict[str, Any], me: str = "p1") -> dict[str, Any]:
    """A room_users."""
    return {"type": "room_users", "room": {"roomId": "r"}, "self": me, "revision": revision, "participants": list(who)}


def test_the_core_needs_nothing_but_websockets() -> None:
    """No module outside rtc and cli imports anything but the standard library, websockets and the package itself."""
    for path in SOURCES.rglob("*.py"):
        if path.name == "__main__.py" or {"rtc", "cli"} & set(path.relative_to(SOURCES).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in {*sys.stdlib_module_names, "websockets", "parley"}, (path.name, name)
                assert not name.startswith(("parley.rtc", "parley.cli")), (path.name, name)


def test_the_package_stands_alone() -> None:
    """Nothing in it, command line included, imports the services' code: it is published by itself."""
    found = [
        path
        for path in SOURCES.rglob("*.py")
        if re.search(r"^\s*(from|import) (services|shared)\b", path.read_text(), re.MULTILINE)
    ]
    assert found == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_backoff_is_full_jitter(chances: list[float]) -> None:
    """The n-th delay is anywhere between 0 and 0.25 s · 2^n, at most 15 s; after a reset it begins anew."""
    left = iter(chances)
    backoff = Backoff(lambda: next(left))
    for n, chance in enumerate(chances):
        assert backoff.next() == chance * min(15.0, 0.25 * 2**n)
    backoff.reset()
    backoff._chance = lambda: 1.0
    assert backoff.next() == 0.25


json_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


@given(objects, objects)
def test_metadata_merges_as_the_services_merge_it(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """The client's idea of RFC 7396 is that of the services, so a rejoin says what the room knew."""
    assert merge_patch(target, patch) == wire.merge_patch(target, patch)


def test_profile_folds_updates() -> None:
    """What is said of oneself is kept for the next join: metadata merged, media by kind, the last name."""
    profile = Profile("r", "A", {"a": 1, "b": {"c": 2}}, {"audio": {"state": "on"}})
    profile.fold(
        {"name": None, "metadata": {"a": None, "b": {"d": 3}}, "media": {"audio": None, "video": {"state": "on"}}}
    )
    assert asyncio.run(profile.fields()) == {
        "roomId": "r",
        "metadata": {"b": {"c": 2, "d": 3}},
        "media": {"video": {"state": "on"}},
    }


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("http://h:80", "ws://h:80/ws"),
        ("https://h/", "wss://h/ws"),
        ("wss://h/calls/", "wss://h/calls/ws"),
        ("ws://[::1]:8080/ws", "ws://[::1]:8080/ws"),
    ],
)
def test_endpoints(url: str, there: str) -> None:
    """Any of the four schemes names a gateway, with or without /ws."""
    assert endpoint(url) == there


@pytest.mark.parametrize("url", ["h:80", "ftp://h", "http://", "http://u:p@h", "http://h?token=x", "http://h#x"])
def test_no_endpoints(url: str) -> None:
    """What is no gateway's URL, or has a place where secrets stand, is refused."""
    with pytest.raises(ValueError, match="gateway's URL"):
        endpoint(url)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Pushes from revision 1 on, and who is there at the end."""
    there = {1: participant(1)}
    pushes: list[dict[str, Any]] = []
    for revision in range(2, draw(st.integers(2, 20))):
        n = draw(st.integers(2, 5))
        if n not in there:
            there[n] = participant(n)
            pushes.append({"type": "user_joined", "revision": revision, "participant": there[n]})
        elif draw(st.booleans()):
            there[n] = participant(n, metadata={"at": revision})
            pushes.append({"type": "user_updated", "revision": revision, "participant": there[n]})
        else:
            del there[n]
            pushes.append({"type": "user_left", "revision": revision, "participantId": f"p{n}", "reason": "left"})
    return pushes, list(there.values())


@given(histories(), st.data())
def test_a_roster_is_the_same_by_pushes_or_by_snapshot(
    history: tuple[list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Pushes one by one, a snapshot, or both with pushes twice, lead to the same participants; the events of a
    snapshot turn what was known into what it says; a push that is left out is noticed as a hole."""
    pushes, at_end = history
    folded = Roster(users(1, participant(1)))
    for push in pushes:
        assert not folded.apply(push).hole
        assert folded.apply(push).events == ()
    whole = Roster(users(len(pushes) + 1, *at_end))
    assert folded.participants == whole.participants
    assert list(folded.participants) == sorted(folded.participants, key=lambda id_: folded.participants[id_].order)
    cut = data.draw(st.integers(0, len(pushes)))
    partial = Roster(users(1, participant(1)))
    for push in pushes[:cut]:
        partial.apply(push)
    known = set(partial.participants)
    for event in partial.replace(users(len(pushes) + 1, *at_end)):
        if isinstance(event, ParticipantJoined):
            known.add(event.participant.id)
        elif isinstance(event, ParticipantLeft):
            known.remove(event.participant.id)
    assert known == set(whole.participants)
    assert partial.participants == whole.participants
    if len(pushes) >= 2:
        holed = Roster(users(1, participant(1)))
        assert holed.apply(pushes[1]).hole


def test_an_old_snapshot_changes_nothing() -> None:
    """A room_users that is older than what is known is not believed."""
    roster = Roster(users(5, participant(1), participant(2)))
    assert roster.replace(users(4, participant(1))) == ()
    assert set(roster.participants) == {"p1", "p2"}


def test_requests_keep_their_text_and_their_order_and_have_a_bound() -> None:
    """What waits is sent again as it was, in order; one more than may wait is refused; what was never sent can be
    withdrawn; a lost session takes everything out but joins."""
    requests = Requests()
    first = requests.add("join_room", {"roomId": "r"})
    others = [requests.add("update_self", {"roomId": "r"}) for _ in range(CAPACITY - 1)]
    with pytest.raises(parley.ParleyError) as refused:
        requests.add("update_self", {})
    assert (refused.value.code, refused.value.retryable) == ("queue_full", True)
    assert requests.waiting() == [first, *others]
    assert requests.waiting()[0].text == first.text
    assert requests.withdraw(others[0])
    others[1].sent = True
    assert not requests.withdraw(others[1])
    assert requests.start_anew(lambda one: one is first) == others[1:]
    assert requests.waiting() == [first]
    assert requests.answered(first.id) is first
    assert requests.answered(first.id) is None


def test_close_codes() -> None:
    """Every close code of the gateway is answered as the protocol says: below 4500 come back, above do not."""
    for code in CloseCode:
        assert is_final(code) is (code >= 4500 or code is CloseCode.UNSUPPORTED_DATA)
    assert is_final(1007)
    assert is_final(1009)
    assert not is_final(1006)


async def test_a_feed_that_is_not_read_says_what_was_missed() -> None:
    """The oldest events are dropped, and their number stands where they were; a callback that fails harms nobody."""
    feed: Feed[int] = Feed(capacity=3)
    heard: list[int] = []

    def failing(_: int) -> None:
        raise ZeroDivisionError

    feed.on(failing)
    off = feed.on(heard.append)
    events = feed.events()
    for n in range(5):
        feed.tell(n)
    off()
    feed.tell(5)
    feed.end()
    assert [event async for event in events] == [Missed(3), 3, 4, 5]
    assert heard == [0, 1, 2, 3, 4]
    assert [event async for event in feed.events()] == []


async def test_tokens_are_asked_for_when_they_end() -> None:
    """A token function is asked again only when the gateway's word says that the token is about to end."""
    asked: list[str] = []
    now = 1_000_000.0

    async def ask() -> str:
        asked.append(f"t{len(asked)}")
        return asked[-1]

    credentials = Credentials(ask, clock=lambda: now)
    assert await credentials.current() == "t0"
    credentials.accepted("1970-01-12T13:48:00.000Z")  # 1,000,080
    assert await credentials.current() == "t0"
    now += 70
    assert await credentials.current() == "t1"


def test_nothing_secret_shows() -> None:
    """Neither a join token, nor a request's text, nor a TURN credential is in a repr."""
    secret = "s3cret"
    shown = [
        repr(Profile("r", token=secret)),
        repr(Requests().add("join_room", {"token": secret})),
        repr(ice_servers([{"urls": "turn:t", "username": "u", "credential": secret}])),
        repr(Credentials(secret)),
    ]
    assert not [text for text in shown if secret in text]


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
        elif verdict in (Verdict.ANSWER, Verdict.REPLACE):
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
    assert rules.judge_offer("n1") is Verdict.ANSWER
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
