"""What must never be written, looked for wherever anything is written."""

import asyncio
import re
from pathlib import Path

import httpx

from tests.support.client import Client
from tests.support.launched import Launched, bearer
from tests.support.sdp import candidate, offer
from tests.support.system import token

CANARY = "203.0.113.77"
TURN_SECRET = "canary-secret-of-the-turn-servers"


async def test_nothing_secret_is_written(tmp_path: Path) -> None:
    """No token, TURN credential or address of a candidate is in a line of any process, in the metrics, or in a file: not
    of messages that were delivered and not of messages that were refused."""
    relay = {"PARLEY_TURN_URLS": "turn:turn.example", "PARLEY_TURN_SECRET": TURN_SECRET}
    launched = Launched(tmp_path / "data", environment={"PARLEY_LOG_LEVEL": "debug", **relay})
    try:
        await asyncio.to_thread(launched.ready)
        secrets = [CANARY, TURN_SECRET, *await a_conversation(launched.url)]
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
    credential = own["iceServers"][0]["credential"]
    return [issued, granted, other, welcome["resumeToken"], issued[:-9] + "forged123", credential]
