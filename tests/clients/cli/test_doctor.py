"""`parley doctor`: says what is wrong, each in one sentence with what to do, and is content with what is right."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.launcher.embedded_nats import EmbeddedNats
from tests.clients.cli.runner import Cli
from tests.support.coturn import Coturn
from tests.support.launched import Launched
from tests.support.ports import HeldPorts
from tests.support.processes import Deployment
from tests.support.system import token


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """Services that are not the other tests'; not started."""
    deployment = Deployment(tmp_path)
    yield deployment
    await deployment.stop()


def findings(cli: Cli, *options: str, status: int) -> dict[str, dict[str, Any]]:
    """What it found, by what it is about; whatever is wrong comes with advice, and the exit status says whether any is."""
    document = cli("doctor", "--json", *options, status=status).document
    assert document["ok"] is (status == 0)
    statuses = {finding["status"] for finding in document["findings"]}
    assert ("unknown" in statuses and "wrong" not in statuses) is (status == 5)
    wrong = [finding for finding in document["findings"] if finding["status"] == "wrong"]
    assert bool(wrong) is (status == 4)
    for finding in wrong:
        assert finding["advice"], finding
    return {finding["about"]: finding for finding in document["findings"]}


def test_all_is_well(cli: Cli, nats_variables: dict[str, str]) -> None:
    """Against `make run` everything is tried for real and nothing is wrong; the room it made is closed again."""
    found = findings(cli.with_(**nats_variables), status=0)
    for about in ("url", "version", "broker", "auth", "rooms", "token", "websocket", "room", "nats"):
        assert found[about]["status"] == "ok", found[about]
    assert found["ice"]["status"] == "note"  # none configured
    assert "parley doctor" not in cli("rooms", "list", "--all").out


def test_for_people(cli: Cli) -> None:
    """A line for each, as it is found."""
    told = cli("doctor").out.splitlines()
    assert told[0].split()[:2] == ["ok", "url"]
    assert any(line.lstrip().startswith("→ ") for line in told)


def test_a_given_room(cli: Cli, room_id: str) -> None:
    """With --room that one is entered and left; one that does not exist for this token is wrong."""
    cli("rooms", "create", "Daily", "--room-id", room_id, "--access", "token")
    assert findings(cli, "--room", room_id, status=0)["room"]["status"] == "ok"
    stranger = cli.with_(PARLEY_TOKEN=token("stranger", "rooms:join"))
    assert findings(stranger, "--room", room_id, status=4)["room"]["status"] == "wrong"


def test_a_token_that_may_not_make_rooms(cli: Cli) -> None:
    """That is no fault, and nobody knows whether a call would work: it says how to look further."""
    found = findings(cli.with_(PARLEY_TOKEN=token("guest", "rooms:join")), status=5)
    assert found["room"]["status"] == "unknown"
    assert "--room" in found["room"]["advice"]


@pytest.mark.parametrize(
    ("claims", "sentence", "advice"),
    [
        ({"iat": int(time.time()) - 7300, "exp": int(time.time()) - 3700}, "expired 1 h", "another"),
        ({"aud": "somebody-else"}, "wrong_audience", "PARLEY_AUDIENCE"),
        ({"iss": "somebody-else"}, "wrong_issuer", "PARLEY_ISSUER"),
    ],
)
def test_a_bad_token(cli: Cli, claims: dict[str, Any], sentence: str, advice: str) -> None:
    """Why the server refuses it, and what to do; nothing that needs a token is tried."""
    found = findings(cli.with_(PARLEY_TOKEN=token("ada", **claims)), status=4)
    assert sentence in found["token"]["found"]
    assert advice in found["token"]["advice"]
    assert found["websocket"]["status"] == "unknown"


def test_nobody_there() -> None:
    """Not an error of the command: it found something (4), and says what to do."""
    found = findings(Cli(PARLEY_URL="http://127.0.0.1:1"), status=4)
    assert found["url"]["found"].endswith("nothing listens there")
    wrong_scheme = Cli(PARLEY_URL="https://127.0.0.1:1")
    assert findings(wrong_scheme, status=4)["url"]["status"] == "wrong"


def test_https_to_a_plain_port(launched: Launched) -> None:
    """The wrong scheme is recognised."""
    found = findings(Cli(PARLEY_URL=launched.url.replace("http:", "https:")), status=4)
    assert "https:// or http://" in found["url"]["found"]


async def test_a_stopped_broker(deployment: Deployment) -> None:
    """With NATS gone the gateway answers and cannot serve: the broker is what is wrong, and so it is for watching."""
    await deployment.start()
    nats = {"NATS_URL": deployment.nats.url, "NATS_PASSWORD": deployment.nats.passwords["observer"]}
    cli = Cli(PARLEY_URL=deployment.url, PARLEY_TOKEN=token("ada")).with_(**nats)
    deployment.kill_nats()
    found = findings(cli, status=4)
    assert found["url"]["status"] == "ok"
    assert found["broker"]["status"] == "wrong"
    assert "NATS" in found["broker"]["advice"]
    assert found["nats"]["found"].endswith("nothing listens there")


def test_a_wrong_nats_password(cli: Cli, nats_variables: dict[str, str]) -> None:
    """Whose password it is, is said; the password is not."""
    found = cli.with_(**nats_variables).with_(NATS_PASSWORD="sesame")("doctor", status=4)
    found.says("does not accept this user and password", "set NATS_PASSWORD")
    assert "sesame" not in found.out + found.err


class _Auth:
    """A gateway whose auth is told of TURN servers."""

    def __init__(self, folder: Path, urls: list[str], secret: str, stun: str = "") -> None:
        more = {"STUN_URLS": stun} if stun else {}
        self.deployment = Deployment(folder, TURN_URLS=",".join(urls), TURN_SECRET=secret, **more)

    async def __aenter__(self) -> Cli:
        await self.deployment.start()
        return Cli(PARLEY_URL=self.deployment.url)

    async def __aexit__(self, *_: object) -> None:
        await self.deployment.stop()


def by_uri(cli: Cli, *options: str, status: int) -> dict[str, dict[str, Any]]:
    """What was found of STUN and TURN, by the server's URI; the credentials are nowhere."""
    ended = cli("doctor", "--json", *options, status=status)
    assert "credential" not in json.dumps([f for f in ended.document["findings"] if f["about"] in ("stun", "turn")])
    return {f["found"].split()[0].rstrip(":"): f for f in ended.document["findings"] if f["about"] in ("stun", "turn")}


async def test_turn_for_real(tmp_path: Path) -> None:
    """A real coturn gives an allocation for the room's credentials, by UDP and TCP, and tells our address by STUN."""
    with Coturn() as turn:
        async with _Auth(tmp_path, [turn.url, turn.tcp_url], turn.secret, turn.stun_url) as cli:
            found = by_uri(cli, status=0)
    assert "relays for us at 127.0.0.1:" in found[turn.url]["found"]
    assert "relays for us at 127.0.0.1:" in found[turn.tcp_url]["found"]
    assert "sees us as 127.0.0.1:" in found[turn.stun_url]["found"]


async def test_turn_by_tls(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is what is wrong; with --ca there is an allocation by TLS too."""
    with Coturn(tls=True) as turn:
        async with _Auth(tmp_path, [turn.tls_url], turn.secret) as cli:
            unknown = by_uri(cli, status=4)[turn.tls_url]
            known = by_uri(cli, "--ca", str(turn.certificate), status=0)[turn.tls_url]
    assert "its certificate is not trusted" in unknown["found"]
    assert "a certificate for 127.0.0.1" in unknown["advice"]
    assert "relays for us at 127.0.0.1:" in known["found"]


async def test_turn_with_another_secret(tmp_path: Path) -> None:
    """A coturn that does not share auth's secret refuses, and doctor says which secrets must be the same."""
    with Coturn() as turn:
        async with _Auth(tmp_path, [turn.url], "another secret than the one of the server") as cli:
            found = by_uri(cli, status=4)[turn.url]
    assert "401" in found["found"]
    assert "PARLEY_TURN_SECRET" in found["advice"]


async def test_turn_that_is_not_there(tmp_path: Path, ports: HeldPorts) -> None:
    """Nobody at UDP, at TCP, or somebody who speaks something else (NATS greets first)."""
    port = ports.row()
    gone = [f"turn:127.0.0.1:{port}?transport=udp", f"turn:127.0.0.1:{port}?transport=tcp"]
    nats = EmbeddedNats(tmp_path / "other")
    await nats.start()
    other, tls = f"turn:127.0.0.1:{nats.port}?transport=tcp", f"turns:127.0.0.1:{nats.port}?transport=tcp"
    try:
        async with _Auth(tmp_path / "parley", [*gone, other, tls], "a secret of which nobody asks at all") as cli:
            found = by_uri(cli, status=4)
    finally:
        await nats.stop()
    assert all("nothing listens there" in found[uri]["found"] for uri in gone)
    assert "does not speak STUN" in found[other]["found"]
    assert "does not speak TLS" in found[tls]["found"]
    assert "firewalls" in found[gone[0]]["advice"]
