"""How many connections and requests an address may have: WebSockets and HTTP alike, directly and through a proxy."""

import asyncio
import contextlib
import json

import pytest
from websockets.exceptions import InvalidStatus

from services.gateway.rest import problems
from services.gateway.transport.answering import TOO_MANY_CONNECTIONS
from services.gateway.transport.arrivals import OVER
from tests.support.broker_kind import in_memory
from tests.support.patience import eventually
from tests.support.raw import Raw, request
from tests.support.system import System

pytestmark = in_memory
ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


async def answer(raw: Raw, asked: bytes = ASK % b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request's answer."""
    await raw.send(asked)
    status, headers = await raw.response()
    body = await raw.reader.readexactly(int(headers.get("content-length", 0))) if status else b""
    return status, headers, body


async def test_connections_of_one_address(system: System) -> None:
    """One more than an address may have is refused with 429; when one is gone there is room again."""
    await system.start(connections_per_address=3)
    first, *_ = [await system.client() for _ in range(3)]
    with pytest.raises(InvalidStatus) as refused:
        await system.client()
    assert refused.value.response.status_code == 429
    await first.close()
    await eventually(lambda: system.gateways[0].guard.arrivals.open < 3, "it is gone")
    await system.client()


async def test_connections_through_a_proxy(system: System) -> None:
    """What a trusted proxy passes on counts for whom it names, a /64 network of IPv6 as one; its own counts for nobody."""
    await system.start(connections_per_address=2, trusted_proxies=["127.0.0.1"])

    async def come(forwarded: str | None) -> None:
        await system.client(additional_headers={"X-Forwarded-For": forwarded} if forwarded else None)

    for forwarded in ("198.51.100.1", "198.51.100.1:4711", "2001:db8::1", "[2001:db8::2]:80", None, None, None):
        await come(forwarded)
    for forwarded in ("10.9.9.9, ::ffff:198.51.100.1", "2001:db8:0:0:ffff::3"):
        with pytest.raises(InvalidStatus) as refused:
            await come(forwarded)
        assert refused.value.response.status_code == 429
    for forwarded in ("198.51.100.2", "2001:db8:0:1::1", "junk", "more junk"):
        await come(forwarded)
    with pytest.raises(InvalidStatus):
        await come("still no address")


async def test_an_address_cannot_be_made_up(system: System) -> None:
    """Without trusted proxies X-Forwarded-For counts for nothing."""
    await system.start(connections_per_address=1)
    await system.client(additional_headers={"X-Forwarded-For": "198.51.100.1"})
    with pytest.raises(InvalidStatus):
        await system.client(additional_headers={"X-Forwarded-For": "198.51.100.2"})


async def test_http_counts_as_websockets_do(system: System) -> None:
    """An idle HTTP connection is one of the address's; the one too many is answered 429 with `Retry-After`, then closed."""
    await system.start(connections_per_address=3)
    await system.client()
    idle = [await Raw.connect(system.url) for _ in range(2)]
    await eventually(lambda: system.gateways[0].guard.arrivals.open == 3, "all have come")
    raw = await Raw.connect(system.url)
    status, headers, body = await answer(raw)
    assert (status, headers["retry-after"], headers["connection"]) == (429, "1", "close")
    assert json.loads(body)["code"] == "rate_limited"
    assert await raw.reader.read() == b""
    with pytest.raises(InvalidStatus):
        await system.client()
    elsewhere = await Raw.connect(system.url, local_addr=("127.0.7.9", 0))
    assert (await answer(elsewhere))[0] == 200
    for one in (*idle, raw, elsewhere):
        await one.close()


async def test_far_too_many_are_closed_at_once(system: System) -> None:
    """Beyond some connections above the limit there is no answer any more, and no place is taken; then there is again."""
    await system.start(connections_per_address=2)
    arrivals = system.gateways[0].guard.arrivals
    raws = [await Raw.connect(system.url) for _ in range(2 + OVER)]
    await eventually(lambda: arrivals.open == 2 + OVER, "all have come")
    for _ in range(20):
        with contextlib.suppress(ConnectionError):
            raw = await Raw.connect(system.url)
            assert (await answer(raw))[0] == 0
    assert arrivals.open == 2 + OVER
    for raw in raws:
        await raw.close()
    await eventually(lambda: arrivals.open == 0, "all are gone")
    last = await Raw.connect(system.url)
    assert (await answer(last))[0] == 200
    await last.close()


async def test_requests_of_one_address(system: System) -> None:
    """Above its rate an address gets 429 with `Retry-After`, on whichever connection; other addresses are not affected."""
    await system.start(requests_per_address=0.5)
    here = [await Raw.connect(system.url) for _ in range(2)]
    assert [(await answer(here[n % 2]))[0] for n in range(6)] == [200] * 5 + [429]
    status, headers, body = await answer(here[0])
    assert (status, headers["content-type"]) == (429, "application/problem+json")
    assert 1 <= int(headers["retry-after"]) <= 2
    assert json.loads(body)["retryAfterMs"] <= 2000
    there = await Raw.connect(system.url, local_addr=("127.0.7.9", 0))
    assert (await answer(there))[0] == 200
    for raw in (*here, there):
        await raw.close()


async def test_requests_through_a_proxy(system: System) -> None:
    """On one connection of a trusted proxy each request counts for whom the proxy names, and its own checks for nobody."""
    await system.start(requests_per_address=0.1, trusted_proxies=["127.0.0.1"])
    raw = await Raw.connect(system.url)

    async def status(forwarded: bytes) -> int:
        return (await answer(raw, ASK % (b"X-Forwarded-For: " + forwarded + b"\r\n")))[0]

    assert await status(b"198.51.100.1") == 200
    assert await status(b"10.9.9.9, 198.51.100.1:4711") == 429
    assert await status(b"[2001:db8::1]:4711") == 200
    assert await status(b"2001:db8::ffff") == 429
    assert await status(b"198.51.100.2") == 200
    assert [(await answer(raw))[0] for _ in range(5)] == [200] * 5
    await raw.close()


async def test_the_refusal_is_a_problem_document(system: System) -> None:
    """What is refused before any route looks at it is answered as routes refuse."""
    await system.start(connections_per_address=1)
    raws = [await Raw.connect(system.url) for _ in range(2)]
    await eventually(lambda: system.gateways[0].guard.arrivals.open == 2, "both have come")
    _, headers, body = await answer(raws[1])
    expected = problems.answer(TOO_MANY_CONNECTIONS)
    assert json.loads(body) == json.loads(bytes(expected.body))
    assert headers["content-type"] == expected.headers["content-type"]
    assert headers["retry-after"] == expected.headers["retry-after"]
    for raw in raws:
        await raw.close()


async def test_a_handshake_over_the_limit(system: System) -> None:
    """A WebSocket too many is answered 429 as it always was."""
    await system.start(connections_per_address=1)
    idle = await Raw.connect(system.url)
    await eventually(lambda: system.gateways[0].guard.arrivals.open == 1, "it has come")
    raw = await Raw.connect(system.url)
    await raw.send(request())
    assert (await raw.response())[0] == 429
    for one in (idle, raw):
        await one.close()


async def test_an_agents_requests_count_for_the_agent(system: System) -> None:
    """Requests with a good token do not count for their address: whoever has one has a limit of its own."""
    await system.start(requests_per_address=0.2)
    for _ in range(10):
        assert (await system.rest("GET", "")).status_code == 200
    raw = await Raw.connect(system.url)
    assert [(await answer(raw))[0] for _ in range(3)] == [200, 200, 429]
    await raw.close()


async def test_readiness_is_asked_once_for_all_who_ask(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of `/readyz` is no flood of what the broker stores: whoever asks meanwhile gets the same answer."""
    await system.start()
    asked = 0

    async def check(*_: object) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.1)

    monkeypatch.setattr(type(system.ports[0].connection), "check", check)
    raws = [await Raw.connect(system.url) for _ in range(30)]
    answers = await asyncio.gather(*(answer(raw, ASK.replace(b"healthz", b"readyz") % b"") for raw in raws))
    assert {status for status, _, _ in answers} == {200}
    assert asked <= 3
    for raw in raws:
        await raw.close()
