"""The client's rules, without a network."""

import ast
import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import parley
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.credentials import Credentials
from parley.events import Missed
from parley.feed import Feed
from parley.ice_server import ice_servers
from parley.merge_patch import merge_patch
from parley.profile import Profile
from parley.requests import CAPACITY, Requests
from parley.transport.backoff import Backoff
from parley.transport.endpoint import endpoint
from parley.transport.link_state import is_final

from shared.rooms import model as wire
from shared.values.errors import CloseCode

SOURCES = Path(parley.__file__).parent


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
