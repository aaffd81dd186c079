"""`python -m services` from outside: what it prints, what it leaves behind, and how it says that it cannot."""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import socketserver
import threading
import time
from pathlib import Path

import httpx
import pytest

from services.auth.settings import DEVELOPMENT_SECRET
from services.gateway.settings import DEVELOPMENT_SIGNAL_KEYS
from shared.version import __version__
from tests.support.client import Client
from tests.support.patience import eventually_async
from tests.support.processes import Launched, PlainNats, Process
from tests.support.sdp import candidate, offer
from tests.support.system import token

STOP_SECONDS = 5.0


def pasted(line: str) -> httpx.Response:
    """What a shell would do with the printed curl line."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-s"]
    url, *options = words[2:]
    given = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in given if name == "-H")
    (body,) = [value for name, value in given if name == "-d"]
    return httpx.post(url, headers=headers, content=body)


def bearer(text: str) -> dict[str, str]:
    """The header a token travels in."""
    return {"Authorization": f"Bearer {text}"}


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- a start that works ------------------------------------------------------------------------------------------------


def test_the_pasted_line_works(launched: Launched) -> None:
    """The line to paste creates a room as it stands, and the room belongs to whom the printed token names."""
    answer = pasted(launched.process.wait_for(r"^\s*try\s+(curl .*)$")[1])
    assert answer.status_code == 201, answer.text
    room = answer.json()
    assert room["createdBy"] == "you"
    assert httpx.get(f"{launched.url}/api/rooms/{room['roomId']}", headers=bearer(launched.token)).status_code == 200


async def test_the_printed_token_opens_a_session(launched: Launched) -> None:
    """The printed token is good for the WebSocket too, for hours."""
    client = await Client.open(launched.url)
    assert (await client.login(launched.token))["agentId"] == "you"
    await client.join("printed")
    await client.close()


def test_services_are_processes(launched: Launched) -> None:
    """gateway, rooms, auth and the NATS server are processes of their own."""
    commands = launched.process.tree().commands().values()
    for part in ("services.gateway", "services.rooms", "services.auth", "nats-server"):
        assert len([command for command in commands if part in command]) == 1, (part, commands)


def test_health(launched: Launched) -> None:
    """`/healthz` tells the version, `/readyz` is 200 once everything is up."""
    health = httpx.get(f"{launched.url}/healthz")
    assert (health.status_code, health.json()["version"]) == (200, __version__)
    assert httpx.get(f"{launched.url}/readyz").status_code == 200


@pytest.mark.parametrize("service", ["gateway", "rooms", "auth"])
def test_internal_port(launched: Launched, service: str) -> None:
    """Every service logs where its internal port is, and serves metrics, health and readiness there."""
    ops = launched.process.wait_for(rf"{service} .*internal port.*metrics=(http://127\.0\.0\.1:\d+)/metrics")[1]
    metrics = httpx.get(f"{ops}/metrics")
    assert metrics.status_code == 200
    assert f'parley_build_info{{service="{service}",version="{__version__}"}} 1.0' in metrics.text
    assert "parley_broker_connected 1.0" in metrics.text
    assert httpx.get(f"{ops}/healthz").json() == {"status": "ok", "version": __version__}
    assert httpx.get(f"{ops}/readyz").status_code == 200


def test_development_tokens_are_for_this_machine(launched: Launched) -> None:
    """A page whose own name resolves to this machine gets no token: for its `Host` the path does not exist."""
    order = {"agentId": "eve"}
    assert httpx.post(f"{launched.url}/api/dev/token", json=order).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "192.0.2.1"):
        assert httpx.post(f"{launched.url}/api/dev/token", json=order, headers={"Host": host}).status_code == 404, host


def test_what_is_asked_for_is_honoured(tmp_path: Path) -> None:
    """HOST and PORT are where it listens, and nowhere else; everything it writes is in DATA, the default here. A closed
    terminal ends it as Ctrl-C does."""
    here = tmp_path / "here"
    here.mkdir()
    port = free_port()
    launched = Launched(Path(".data"), cwd=here, environment={"HOST": "127.0.0.2", "PORT": str(port)})
    try:
        launched.ready()
        assert launched.url == f"http://127.0.0.2:{port}"
        assert httpx.get(f"{launched.url}/healthz").status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")
    finally:
        assert launched.stop(signal.SIGHUP) == 0
    assert [path.name for path in here.iterdir()] == [".data"]
    assert [path.name for path in (here / ".data").iterdir()] == ["nats"]


# -- stopping and starting again ---------------------------------------------------------------------------------------


async def test_stop_and_start_again(tmp_path: Path) -> None:
    """Ctrl-C and TERM end everything within 5 s with status 0, clients are told to come back,
    and the next start on the same folder is as quick as the first and has every room that was made before."""
    made: list[str] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        launched = Launched(tmp_path / "data")
        try:
            await asyncio.to_thread(launched.ready)
            tree = launched.process.tree()
            assert len(tree) == 5
            async with httpx.AsyncClient(base_url=launched.url, headers=bearer(token("owner"))) as api:
                for room_id in made:
                    room = await api.get(f"/api/rooms/{room_id}")
                    assert room.status_code == 200, room.text
                    assert room.json()["createdBy"] == "owner"
                    assert room.json()["participantCount"] == 0
                listed = (await api.get("/api/rooms")).json()["rooms"]
                assert [room["roomId"] for room in listed] == list(reversed(made))
                room_id = (await api.post("/api/rooms", json={"name": "Kept", "type": "voice"})).json()["roomId"]
            client = await Client.open(launched.url)
            await client.login(token("owner"))
            await client.join(room_id)
            made.append(room_id)
            told = time.monotonic()
            launched.process.signal(number)
            assert (await client.hear("go_away"))["reason"] == "shutdown"
            assert await client.closed() == 1012
            assert await asyncio.to_thread(launched.process.end) == 0
            assert time.monotonic() - told < STOP_SECONDS
            assert not tree.alive()
            assert not launched.left_behind()
            assert "Traceback" not in launched.process.output
        finally:
            launched.destroy()


async def test_a_part_that_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    """Whatever is killed comes back by itself, with a line that says so; clients of a gateway that lives stay."""
    launched = Launched(tmp_path / "data").ready()
    try:
        client = await Client.open(launched.url)
        await client.login(launched.token)
        await client.join("kept")
        for command, name in (("services.rooms", "rooms"), ("services.auth", "auth"), ("nats-server", "NATS")):
            (pid,) = [pid for pid, line in launched.process.tree().commands().items() if command in line]
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(
                launched.process.wait_for, rf"{name} has ended by itself \(SIGKILL\); starting it again"
            )
            await eventually_async(lambda: _works(client, launched.token), f"{name} is back")
        assert client.close_code is None
        assert (await client.ask("get_room"))["room"]["participantCount"] == 1
        (pid,) = [pid for pid, line in launched.process.tree().commands().items() if "services.gateway" in line]
        os.kill(pid, signal.SIGKILL)
        await client.closed()
        await eventually_async(lambda: asyncio.to_thread(_is_up, launched.url), "the gateway is back")
        launched.stop()
    finally:
        launched.destroy()


async def _works(client: Client, token: str) -> bool:
    """A round trip that needs auth, rooms and NATS."""
    renewed = await client.ask("authenticate", token=token)
    changed = await client.ask("update_self", metadata={"at": renewed["id"]})
    return (renewed["type"], changed["type"]) == ("auth_ok", "ok")


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


# -- starts that cannot work: one sentence, a status that is not 0, nothing left -------------------------------------------


def refusals(*asked: tuple[Path, dict[str, str]], within: float = 30.0) -> list[str]:
    """The one sentence of each launcher that cannot start, with this data folder and environment; all at once."""
    starting = [Launched(data, environment=environment) for data, environment in asked]
    try:
        return [_refusal(launched, within) for launched in starting]
    finally:
        for launched in starting:
            launched.destroy()


def _refusal(launched: Launched, within: float) -> str:
    assert launched.process.end(within) == 1, launched.process.output
    assert not launched.left_behind()
    lines = [line for line in launched.process.lines if line.strip()]
    assert len(lines) == 1, launched.process.output
    assert lines[0].startswith("parley cannot start: ")
    return lines[0]


def refusal(data: Path, within: float = 30.0, **environment: str) -> str:
    """The one sentence of a launcher that cannot start."""
    return refusals((data, environment), within=within)[0]


def test_taken_port(tmp_path: Path, launched: Launched) -> None:
    """A taken port is named, and what to do about it; nothing was started or written."""
    port = launched.url.rpartition(":")[2]
    sentence = refusal(tmp_path / "data", PORT=port)
    assert f"127.0.0.1:{port}" in sentence
    assert "PORT=" in sentence
    assert not (tmp_path / "data").exists()


def test_address_of_another_machine(tmp_path: Path) -> None:
    """A HOST that is not ours is told from a port that is taken."""
    sentence = refusal(tmp_path / "data", HOST="198.51.100.7")
    assert "198.51.100.7" in sentence
    assert "HOST=" in sentence


def test_folder_in_use(launched: Launched) -> None:
    """Two NATS servers would destroy one folder: the second start is refused, and the first one goes on."""
    assert f"{launched.data}/nats is in use" in refusal(launched.data)
    assert httpx.get(f"{launched.url}/readyz").status_code == 200


def test_unusable_folder(tmp_path: Path) -> None:
    """A DATA that is a file, is below one, or cannot be written is named in the sentence."""
    (tmp_path / "file").write_text("mine")
    folders = [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/parley")]
    for folder, sentence in zip(folders, refusals(*((folder, {}) for folder in folders)), strict=True):
        assert str(folder) in sentence
        assert "cannot be used" in sentence
    assert (tmp_path / "file").read_text() == "mine"


BAD_SETTINGS = [
    ("PARLEY_MAX_PARTICIPANT", "sesame-1234", "unknown setting PARLEY_MAX_PARTICIPANT"),
    ("PARLEY_MESSAGE_RATE", "sesame-1234", "PARLEY_MESSAGE_RATE"),
    ("PARLEY_TOKEN_SECRET", "sesame-1234", "PARLEY_TOKEN_SECRET must have at least 32 bytes"),
    ("PARLEY_GRANT_SECRET_FILE", "/nowhere/sesame-1234", "PARLEY_GRANT_SECRET_FILE"),
    ("PARLEY_MODE", "sesame-1234", "PARLEY_MODE"),
    ("PARLEY_MODE", "production", "PARLEY_SIGNAL_KEYS is required outside development mode"),
]


def test_bad_settings(tmp_path: Path) -> None:
    """A setting that does not exist or makes no sense is named before anything is started; its value is not told."""
    told = refusals(*((tmp_path / "data", {variable: value}) for variable, value, _ in BAD_SETTINGS))
    for (_, _, expected), sentence in zip(BAD_SETTINGS, told, strict=True):
        assert expected in sentence
        assert "sesame" not in sentence
    assert not (tmp_path / "data").exists()


def test_bad_port(tmp_path: Path) -> None:
    """A PORT that is no port is named."""
    launched = Launched(tmp_path / "data", environment={"PORT": "eighty"})
    try:
        assert launched.process.end() != 0
        assert "PORT" in launched.process.output
        assert "Traceback" not in launched.process.output
    finally:
        launched.destroy()


# -- somebody else's NATS server ---------------------------------------------------------------------------------------


async def test_existing_server(tmp_path: Path) -> None:
    """A NATS server without users that runs already is used as it is, and stays; nothing is written here."""
    server = PlainNats(tmp_path / "nats", "-js")
    try:
        launched = Launched(tmp_path / "data", environment={"NATS_URL": server.url})
        try:
            await asyncio.to_thread(launched.ready)
            alice, bob = await Client.open(launched.url), await Client.open(launched.url)
            await alice.login(token("alice"))
            await bob.login(token("bob"))
            await alice.join("r")
            await bob.join("r")
            assert (await alice.hear("user_joined"))["participant"]["agentId"] == "bob"
            await alice.close()
            await bob.close()
        finally:
            assert await asyncio.to_thread(launched.stop) == 0
        assert not (tmp_path / "data").exists()
    finally:
        server.stop()


def test_server_without_jetstream(tmp_path: Path) -> None:
    """A NATS server that cannot store anything is refused, with what it lacks."""
    server = PlainNats(tmp_path / "nats")
    try:
        assert "without JetStream" in refusal(tmp_path / "data", NATS_URL=server.url)
    finally:
        server.stop()


def test_server_that_wants_a_password(tmp_path: Path) -> None:
    """A wrong password is told apart from nobody being there, and not repeated."""
    server = PlainNats(tmp_path / "nats", "-js", "--user", "parley", "--pass", "right")
    try:
        url = server.url.replace("//", "//parley:sesame-1234@")
        sentence = refusal(tmp_path / "data", NATS_URL=url)
        assert "Authorization Violation" in sentence
        assert server.url.removeprefix("nats://") in sentence
        assert "sesame" not in sentence
    finally:
        server.stop()


class OldServer(socketserver.StreamRequestHandler):
    """As much of a NATS server of version 2.10.0 as a client needs to see."""

    def handle(self) -> None:
        """Greet, and answer pings."""
        told = {"server_id": "OLD", "version": "2.10.0", "proto": 1, "max_payload": 1 << 20, "headers": True}
        self.wfile.write(b"INFO " + json.dumps({**told, "jetstream": True}).encode() + b"\r\n")
        for line in self.rfile:
            if line.startswith(b"PING"):
                self.wfile.write(b"PONG\r\n")


def test_old_server(tmp_path: Path) -> None:
    """A NATS server that is too old is refused, with both versions."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OldServer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"nats://127.0.0.1:{server.server_address[1]}"
        assert "is version 2.10.0; Parley needs 2.14 or later" in refusal(tmp_path / "data", NATS_URL=url)
        server.shutdown()


def test_nobody_at_the_address(tmp_path: Path) -> None:
    """A NATS_URL where nobody answers is said within seconds, not after minutes of trying."""
    sentence = refusal(tmp_path / "data", within=10, NATS_URL=f"nats://127.0.0.1:{free_port()}")
    assert "nobody answers there" in sentence


# -- outside development mode ----------------------------------------------------------------------------------------

SECRET = "long-enough-for-a-secret-of-the-tests-0123456789"
DEVELOPMENT_KEYS = {
    "gateway": {"PARLEY_SIGNAL_KEYS": DEVELOPMENT_SIGNAL_KEYS},
    "auth": {"PARLEY_TOKEN_SECRET": DEVELOPMENT_SECRET, "PARLEY_GRANT_SECRET": SECRET},
}


def test_production_needs_secrets() -> None:
    """Production is the default, and needs secrets; the well-known ones of development are refused, and not repeated."""
    started = [
        (Process.module(f"services.{service}", environment=own), own)
        for service, keys in DEVELOPMENT_KEYS.items()
        for own in ({}, keys)
    ]
    try:
        for process, own in started:
            assert process.end() == 2
            (sentence,) = process.lines
            assert ("development mode only" if own else "is required outside development mode") in sentence
            assert not any(value in sentence for value in own.values())
    finally:
        for process, _ in started:
            process.destroy()


# -- secrets -----------------------------------------------------------------------------------------------------------

CANARY = "203.0.113.77"


async def test_nothing_secret_is_written(tmp_path: Path) -> None:
    """No token and no address of a candidate is in a line of any process, in the metrics, or in a file: not of
    messages that were delivered and not of messages that were refused."""
    launched = Launched(tmp_path / "data", environment={"PARLEY_LOG_LEVEL": "debug"})
    try:
        await asyncio.to_thread(launched.ready)
        secrets = [CANARY, *await a_conversation(launched.url)]
        ops = re.findall(r"metrics=(http://\S+)", launched.process.output)
        assert len(ops) == 3
        async with httpx.AsyncClient() as api:
            written = "".join([(await api.get(url)).text for url in ops])
    finally:
        await asyncio.to_thread(launched.stop)
    files = [path.read_bytes() for path in launched.data.rglob("*") if path.is_file()]
    assert any(b"canary-room" in content for content in files), "what was written can be found"
    for secret in secrets:
        assert secret not in launched.process.output
        assert secret not in written
        assert not [content for content in files if secret.encode() in content]
    assert "Traceback" not in launched.process.output


async def a_conversation(url: str) -> list[str]:
    """Everything that may carry a secret, said well and said badly; the secrets."""
    alice, bob, eve = [await Client.open(url) for _ in range(3)]
    order = {"agentId": "alice"}
    async with httpx.AsyncClient(base_url=url) as api:
        issued = (await api.post("/api/dev/token", json=order)).json()["token"]
        room = {"name": "Canary", "type": "video", "roomId": "canary-room"}
        assert (await api.post("/api/rooms", json=room, headers=bearer(issued))).status_code == 201
        granted = (await api.post("/api/rooms/canary-room/join", json={}, headers=bearer(issued))).json()["token"]
        assert (await api.get("/api/rooms", headers=bearer(issued[:-9] + "forged123"))).status_code == 401
    welcome = await alice.login(issued)
    other = token("bob")
    await bob.login(other)
    own = await alice.join("canary-room", token=granted)
    self_of_bob = (await bob.join("canary-room"))["self"]
    line = f"candidate:1 1 udp 2130706431 {CANARY} 50000 typ host"
    sdp = offer() + f"a={line}\r\n"
    whole = {**candidate(), "candidate": line}
    assert (await bob.ask("offer", to=own["self"], sdp=sdp))["type"] == "ok"
    assert (await alice.hear("offer"))["sdp"] == sdp
    assert (await bob.ask("candidate", to=own["self"], candidate=whole))["type"] == "ok"
    assert (await alice.hear("candidate"))["candidate"] == whole
    refused = [
        await alice.ask("offer", to=self_of_bob, sdp=sdp.replace("UDP/DTLS/SCTP", "nonsense")),
        await alice.ask(
            "candidate", to=self_of_bob, candidate={**whole, "candidate": line.replace("typ host", "typ ghost")}
        ),
        await alice.ask("candidate", to=self_of_bob, candidate=line),
        await alice.ask("candidate", to=f"p_{CANARY}", candidate=whole),
        await alice.ask("join_room", roomId="canary-room-2", token=granted),
    ]
    codes = ["invalid_sdp", "invalid_candidate", "bad_message", "participant_not_found", "forbidden"]
    assert [reply.get("code") for reply in refused] == codes
    assert (await eve.ask("authenticate", token=f"{issued}x"))["type"] == "auth_error"
    for client in (alice, bob, eve):
        await client.close()
    return [issued, granted, other, welcome["resumeToken"], issued[:-9] + "forged123"]
