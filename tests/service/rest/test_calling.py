"""REST: who may ask, from which pages, and what is told when something is wrong (protocol section 7)."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from shared.values.errors import Code, unavailable
from tests.service.rest.world import (
    OPERATIONS,
    Start,
    World,
    assert_headers,
    assert_problem,
    room_of,
)

# -- who asks ----------------------------------------------------------------------------------------------------------


async def test_without_a_token_nothing_is_answered(world: World) -> None:
    """No header, another scheme, no token, two headers: 401 `not_authenticated` with `WWW-Authenticate: Bearer`."""
    client = world.anyone()
    good = (await world.agent("a")).headers["authorization"]
    for headers in ([], ["Basic YTpi"], ["Bearer"], ["Bearer "], [good, good], [good.removeprefix("Bearer ")]):
        answer = await client.get("/api/rooms", headers=[("Authorization", value) for value in headers])
        assert_problem(answer, 401, Code.NOT_AUTHENTICATED)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await client.get("/api/rooms", headers={"Authorization": good.replace("Bearer", "bEARER ")})).is_success


async def test_bad_tokens_are_told_apart(world: World) -> None:
    """What is wrong with a token is the `code`; one over 8 KiB is refused before auth is asked."""
    client = await world.agent("agent-fawzi")
    garbled = await client.get("/api/rooms", headers={"Authorization": client.headers["authorization"] + "x"})
    assert_problem(garbled, 401, Code.INVALID_TOKEN)
    world.now += 2 * 86400
    assert_problem(await client.get("/api/rooms"), 401, Code.EXPIRED_TOKEN)
    world.broker.down = True
    long = await client.get("/api/rooms", headers={"Authorization": "Bearer " + "x" * 8193})
    assert_problem(long, 401, Code.INVALID_TOKEN)


async def test_strangers_are_refused_before_their_body_is_read(world: World) -> None:
    """Without a token, malformed JSON and an enormous body are 401 like anything else."""
    client = world.anyone()
    for body in (b"{", b"x" * 200_000):
        answer = await client.post("/api/rooms", content=body, headers={"Content-Type": "application/json"})
        assert_problem(answer, 401, Code.NOT_AUTHENTICATED)


@pytest.mark.parametrize("name", ["token", "access_token", "jwt"])
async def test_tokens_in_urls_are_refused(owner: httpx.AsyncClient, world: World, name: str) -> None:
    """URLs end up in logs: 400 whoever asks, and even with a good header."""
    for client in (owner, world.anyone()):
        assert_problem(await client.get("/api/rooms", params={name: "x"}), 400, Code.BAD_MESSAGE)
        assert_problem(await client.post("/api/dev/token", params={name: "x"}), 400, Code.BAD_MESSAGE)
        for path in ("/healthz", "/readyz", "/api/services", "/api/openapi.json", "/api/docs", "/", "/ws", "/nowhere"):
            assert_problem(await client.get(path, params={name: "x"}), 400, Code.BAD_MESSAGE)
    assert (await owner.get("/healthz", params={"cache": "1"})).is_success


async def test_jwts_in_urls_are_refused(owner: httpx.AsyncClient) -> None:
    """Under any name, as in the WebSocket's handshake."""
    for path in ("/healthz", "/api/rooms"):
        for query in ("?t=eyJhbGciOiJIUzI1NiJ9.e30.x", "?eyJhbGciOiJIUzI1NiJ9%2ee30.x"):
            assert_problem(await owner.get(path + query), 400, Code.BAD_MESSAGE)


async def test_each_agent_has_its_rate(start: Start) -> None:
    """`rest_rate` a second in bursts of four times as many; then 429 with `Retry-After`; others are not affected."""
    world = await start(rest_rate="0.5")
    first, other = await world.agent("a"), await world.agent("b")
    assert [(await first.get("/api/rooms")).status_code for _ in range(3)] == [200, 200, 429]
    refused = await first.get("/api/rooms")
    assert assert_problem(refused, 429, Code.RATE_LIMITED)["retryAfterMs"] == 2000
    assert refused.headers["retry-after"] == "2"
    assert (await other.get("/api/rooms")).is_success
    world.now += 2
    assert (await first.get("/api/rooms")).is_success


async def test_guessing_tokens_is_throttled(start: Start) -> None:
    """After `failed_logins` refused tokens from one address the next is 429 `throttled` without being looked at."""
    world = await start(failed_logins="3", trusted_proxies="127.0.0.1")
    client = world.anyone()
    headers = {"Authorization": "Bearer a.b.c", "X-Forwarded-For": "192.0.2.1"}
    for _ in range(3):
        assert_problem(await client.get("/api/rooms", headers=headers), 401, Code.INVALID_TOKEN)
    assert_problem(await client.get("/api/rooms", headers=headers), 429, Code.THROTTLED)
    elsewhere = headers | {"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}
    assert_problem(await client.get("/api/rooms", headers=elsewhere), 401, Code.INVALID_TOKEN)
    world.now += 20
    assert_problem(await client.get("/api/rooms", headers=headers), 401, Code.INVALID_TOKEN)


# -- pages of other origins --------------------------------------------------------------------------------------------


PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.mark.parametrize("origin", ["https://app.example", "http://localhost:8080", "https://localhost:8080"])
async def test_listed_and_own_origins_may_read(start: Start, origin: str) -> None:
    """The list, and pages from this host and port: preflight and answers allow exactly that origin."""
    world = await start(allowed_origins="https://app.example")
    client = world.anyone()
    preflight = await client.options("/api/rooms/r", headers=PREFLIGHT | {"Origin": origin})
    assert preflight.status_code == 200
    assert_headers(preflight)
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    answer = await client.get("/api/rooms", headers={"Origin": origin})
    for one in (preflight, answer):
        assert one.headers["access-control-allow-origin"] == origin
        assert "Origin" in one.headers["vary"]
    assert "Location" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://app.example:444",
        "http://app.example",
        "https://APP.example/",
        "https://localhost:8080@evil.example",
        "http://localhost:8081",
        "http://localhost:8080/x",
        "http://[",
        "",
    ],
)
async def test_other_origins_may_not(start: Start, origin: str) -> None:
    """Look-alikes and `null`: the preflight is 403, and no answer allows them."""
    world = await start(allowed_origins="https://app.example")
    client = world.anyone()
    preflight = await client.options("/api/rooms/r", headers=PREFLIGHT | {"Origin": origin})
    assert_problem(preflight, 403, Code.FORBIDDEN)
    answer = await client.get("/healthz", headers={"Origin": origin})
    for one in (preflight, answer):
        assert "access-control-allow-origin" not in one.headers
        assert "Origin" in one.headers["vary"]


async def test_every_origin_may_if_the_setting_says_so(start: Start) -> None:
    """`*` lets every page read, without credentials."""
    world = await start(allowed_origins="*")
    answer = await world.anyone().get("/api/rooms", headers={"Origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_refusals_and_bugs_can_be_read_by_pages(start: Start) -> None:
    """A problem document is readable for the page that caused it, a 500 too."""
    world = await start(allowed_origins="https://app.example")
    world.broken = ValueError("a bug")
    for path, status in (("/api/nothing", 404), ("/readyz", 500)):
        answer = await world.anyone().get(path, headers={"Origin": "https://app.example"})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


# -- when things go wrong ----------------------------------------------------------------------------------------------


async def test_unknown_paths_and_methods(owner: httpx.AsyncClient) -> None:
    """404, and 405 with all methods in `Allow`; both as problem documents."""
    for path in (
        "/index.html",
        "/api",
        "/api/rooms/",
        "/api/rooms/a/b/c",
        "/api/rooms/a%2Fb",
        "/docs",
        "/openapi.json",
    ):
        assert_problem(await owner.get(path), 404, Code.BAD_MESSAGE)
    for method, path, allow in (
        ("PUT", "/api/rooms", "GET, POST"),
        ("PUT", "/api/rooms/r", "DELETE, GET, PATCH"),
        ("GET", "/api/rooms/r/join", "POST"),
        ("POST", "/healthz", "GET"),
    ):
        answer = await owner.request(method, path)
        assert_problem(answer, 405, Code.BAD_MESSAGE)
        assert answer.headers["allow"] == allow


async def test_health_and_readiness_are_different_things(world: World) -> None:
    """`/healthz` answers without the broker; `/readyz` is 503 with `Retry-After` then."""
    client = world.anyone()
    for path in ("/healthz", "/readyz"):
        assert (await client.get(path)).json() == {"status": "ok", "version": "0.5.0"}
    world.broker.down = True
    assert (await client.get("/healthz")).is_success
    assert_problem(await client.get("/readyz"), 503, Code.UNAVAILABLE)


async def test_unavailable_is_retryable(owner: httpx.AsyncClient, world: World) -> None:
    """Without the broker every operation is 503 `unavailable` with `Retry-After`, and afterwards all is well."""
    await room_of(owner, roomId="r")
    world.broker.down = True
    for method, path, body in OPERATIONS:
        sent: dict[str, Any] = {} if body is None else {"json": body}
        assert_problem(await owner.request(method, path.format("r"), **sent), 503, Code.UNAVAILABLE)
    world.broker.down = False
    assert (await owner.get("/api/rooms/r")).json()["name"] == "Daily"


async def test_bugs_are_recorded_and_not_told(world: World) -> None:
    """500 `internal` says nothing; the record says where, and holds nothing of the request or the exception."""
    world.broken = ValueError("canary-in-exception")
    client = world.anyone()
    with capture_logs() as logs:
        answer = await client.get("/readyz?x=canary-in-url", headers={"Authorization": "Bearer canary-token"})
    document = assert_problem(answer, 500, Code.INTERNAL)
    assert "canary" not in answer.text + repr(logs)
    assert document["detail"] == "something went wrong here; it has been recorded"
    assert (logs[0]["path"], logs[0]["error"]) == ("/readyz", "ValueError")
    assert "ready" in logs[0]["where"][-1]


async def test_bugs_elsewhere_are_not_told_either(owner: httpx.AsyncClient, world: World) -> None:
    """When rooms fails, the caller learns no more than when the gateway does."""

    async def fails(_request: object) -> None:
        raise ValueError("canary")

    for handlers in world.broker.answering.values():
        handlers.update({key: (endpoint, fails) for key, (endpoint, _) in handlers.items()})
    answer = await owner.get("/api/rooms")
    assert_problem(answer, 500, Code.INTERNAL)
    assert "canary" not in answer.text


async def test_a_reason_not_to_be_ready_is_told(world: World) -> None:
    """`/readyz` gives the sentence of whoever is not ready."""
    world.broken = unavailable("auth")
    document = assert_problem(await world.anyone().get("/readyz"), 503, Code.UNAVAILABLE)
    assert document["detail"] == "auth cannot answer now; try again"
