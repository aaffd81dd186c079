"""A session: logging in, staying logged in, and what a request is answered with."""

import asyncio
import time

import pytest

from shared.broker.ports import Ports
from tests.simulation.clock import in_virtual_time
from tests.support.broker_kind import in_memory
from tests.support.system import System, token
from tests.support.virtual import VirtualSystem


async def test_who_one_is(system: System) -> None:
    """auth_ok says who one is, until when, how to resume, and what the limits are; two sessions differ."""
    await system.start()
    expires = int(time.time()) + 600
    first, second = await system.client(), await system.client()
    reply = await first.ask("authenticate", token=token("agent-fawzi", exp=expires), id="1")
    assert (reply["type"], reply["id"], reply["agentId"], reply["resumed"]) == ("auth_ok", "1", "agent-fawzi", False)
    assert reply["sessionId"].startswith("s_")
    assert reply["expiresAt"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(expires))
    assert reply["heartbeatMs"] == 10_000
    assert isinstance(reply["features"], list)
    assert reply["limits"]["maxMessageBytes"] == 655360
    assert reply["limits"]["maxSdpBytes"] == 524288
    other = await second.login(token("agent-fawzi"))
    assert other["sessionId"] != reply["sessionId"]
    assert other["resumeToken"] != reply["resumeToken"]


async def test_a_session_that_cannot_be_resumed_begins_anew(system: System) -> None:
    """`resume` with a token that means nothing is no error: the answer says that the session is a new one."""
    await system.start()
    client = await system.client()
    reply = await client.login(token("a"), resume={"token": "nonsense", "cursors": {"voice-1": "x.1"}})
    assert reply["resumed"] is False
    await client.join("voice-1")


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ("nonsense", "invalid_token"),
        (token("a", iat=int(time.time()) - 7200, exp=int(time.time()) - 3600), "expired_token"),
        (token("a", nbf=int(time.time()) + 3600), "not_yet_valid"),
        (token("a", aud="somebody-else"), "wrong_audience"),
        (token("a", iss="somebody-else"), "wrong_issuer"),
        (token("not an id"), "invalid_token"),
    ],
)
@in_memory
async def test_a_token_that_is_not_accepted(system: System, made: str, code: str) -> None:
    """auth_error says why, then the connection closes with 4501: do not come back with it."""
    await system.start()
    client = await system.client()
    reply = await client.ask("authenticate", token=made, id="1")
    assert (reply["type"], reply["code"]) == ("auth_error", code)
    assert made not in reply["message"]
    assert await client.closed() == 4501


@in_virtual_time
async def test_nothing_in_time(virtual: VirtualSystem) -> None:
    """Who does not authenticate in time is told so and closed with 4501, whatever else it sends."""
    await virtual.start(authenticate_seconds=10)
    silent, chatty = await virtual.client(), await virtual.client()
    over = virtual.clock() + 10
    await chatty.say("ping", id="1")
    assert (await chatty.hear("error"))["code"] == "not_authenticated"
    for client in (silent, chatty):
        assert (await client.hear("error", within=15))["code"] == "not_authenticated"
        assert await client.closed() == 4501
    assert virtual.clock() == pytest.approx(over, abs=1)


async def test_auth_is_away(system: System) -> None:
    """A login that nobody can check is `unavailable` and closes with 4002 (come back); a renewal leaves the session be."""
    await system.start(request_timeout=0.5)
    here = await system.agent("a")
    await system.ports[1].connection.close()
    late = await system.client()
    await late.say("authenticate", id="1", token=token("b"))
    reply = await late.hear("error", id="1")
    assert (reply["code"], reply["retryable"]) == ("unavailable", True)
    assert await late.closed() == 4002
    assert (await here.ask("authenticate", token=token("a")))["code"] == "unavailable"
    assert (await here.ask("ping"))["type"] == "pong"
    await here.join("voice-1")


@in_virtual_time
async def test_auth_is_slow(virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who authenticated in time is not to blame for auth's taking longer than that."""
    await virtual.start(authenticate_seconds=2)
    slow(monkeypatch, virtual.ports[2], "auth.open_session", 4)
    await virtual.agent("a")


def slow(monkeypatch: pytest.MonkeyPatch, ports: Ports, endpoint: str, seconds: float) -> None:
    """Make one endpoint answer late."""
    ask = ports.requests.request

    async def late(asked, request):  # type: ignore[no-untyped-def]  # passes on what it is given
        if asked.name == endpoint:
            await asyncio.sleep(seconds)
        return await ask(asked, request)

    monkeypatch.setattr(ports.requests, "request", late)


async def test_renewal(system: System) -> None:
    """The same agent's next token prolongs the session and its stays; another agent's ends it."""
    await system.start()
    alice, bob = await system.agent("alice"), await system.agent("bob")
    first = await alice.login(token("alice"))
    joined = await alice.join("voice-1")
    await bob.join("voice-1")
    later = int(time.time()) + 7200
    again = await alice.login(token("alice", exp=later))
    assert again["sessionId"] == first["sessionId"]
    assert again["expiresAt"] > first["expiresAt"]
    assert (await alice.ask("get_room"))["self"] == joined["self"]
    reply = await alice.ask("authenticate", token=token("mallory"))
    assert (reply["type"], reply["code"]) == ("auth_error", "subject_mismatch")
    assert await alice.closed() == 4501
    assert (await bob.hear("user_left"))["agentId"] == "alice"


@in_virtual_time
@pytest.mark.parametrize(("life", "before"), [(600, 60), (40, 20)])
async def test_a_token_runs_out(virtual: VirtualSystem, life: int, before: int) -> None:
    """It is announced a minute before (at half of a short life); then the session ends with 4502, and the room is told why."""
    await virtual.start(token_leeway=5)
    bob = await virtual.agent("bob")
    await bob.join("voice-1")
    end = int(virtual.clock()) + life
    alice = await virtual.client()
    login = await alice.login(virtual.token("alice", exp=end))
    await alice.join("voice-1")
    notice = await alice.hear("token_expiring", within=life)
    assert notice == {"type": "token_expiring", "expiresAt": login["expiresAt"]}
    assert virtual.clock() == pytest.approx(end - before, abs=1)
    assert (await alice.hear("error", within=2 * before))["code"] == "not_authenticated"
    assert virtual.clock() == pytest.approx(end + 5, abs=1)
    assert await alice.closed() == 4502
    left = await bob.hear("user_left")
    assert (left["agentId"], left["reason"]) == ("alice", "token_expired")


@in_virtual_time
async def test_a_renewed_token_does_not_run_out(virtual: VirtualSystem) -> None:
    """After a renewal the old end means nothing."""
    await virtual.start(token_leeway=0)
    client = await virtual.client()
    await client.login(virtual.token("a", exp=int(virtual.clock()) + 40))
    await client.hear("token_expiring", within=40)
    await client.login(virtual.token("a"))
    await client.silence("error", seconds=60)
    assert not [m for m in client.inbox if m["type"] == "token_expiring"]


@in_memory
async def test_guessing_tokens(system: System) -> None:
    """After many refused tokens from an address the next are `throttled`, good ones too; sessions go on."""
    await system.start(failed_logins=5)
    here = await system.agent("a")
    for _ in range(5):
        client = await system.client()
        assert (await client.ask("authenticate", token="x.y.z"))["code"] == "invalid_token"
    client = await system.client()
    reply = await client.ask("authenticate", token=token("b"))
    assert (reply["type"], reply["code"]) == ("auth_error", "throttled")
    assert await client.closed() == 4501
    assert (await here.ask("ping"))["type"] == "pong"


@in_memory
async def test_devices(system: System) -> None:
    """A device has the name its client gives, else one by chance, so that two tabs never replace each other."""
    await system.start()
    named = await system.agent("a", deviceId="laptop")
    first, second = await system.agent("a"), await system.agent("a")
    await named.join("voice-1")
    await first.join("voice-1")
    seen = await second.join("voice-1")
    devices = [p["deviceId"] for p in seen["participants"]]
    assert len(set(devices)) == 3
    assert devices[0] == "laptop"
    refused = await (await system.client()).ask("authenticate", token=token("a"), deviceId="two words")
    assert refused["code"] == "bad_message"


@in_virtual_time
async def test_a_ping_does_not_wait(virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a join waits for rooms, a ping is answered at once; requests keep their order."""
    await virtual.start()
    client = await virtual.agent("a")
    slow(monkeypatch, virtual.ports[2], "rooms.join", 0.5)
    await client.say("join_room", id="j", roomId="voice-1")
    await client.say("update_self", id="u", name="Later")
    pong = await client.ask("ping", id="p")
    assert pong.keys() == {"type", "id", "serverTime"}
    assert not client.inbox, "nothing was answered before"
    await client.say("ping")
    assert (await client.hear("pong")).keys() == {"type", "serverTime"}
    await client.hear("ok", id="u")
    replies = [m["id"] for m in client.everything if "id" in m and m["id"] in "jpu"]
    assert replies == ["p", "j", "u"]
