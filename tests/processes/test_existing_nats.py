"""`python -m services` with somebody else's NATS server: used as it is, or refused with what it lacks."""

import asyncio
import json
import socketserver
import threading
from pathlib import Path

from tests.support.client import Client
from tests.support.launched import Launched, PlainNats, refusal
from tests.support.ports import HeldPorts
from tests.support.system import token


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


def test_nobody_at_the_address(tmp_path: Path, ports: HeldPorts) -> None:
    """A NATS_URL where nobody answers is said within seconds, not after minutes of trying."""
    sentence = refusal(tmp_path / "data", within=10, NATS_URL=f"nats://127.0.0.1:{ports.row()}")
    assert "nobody answers there" in sentence
