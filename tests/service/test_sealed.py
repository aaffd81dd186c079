"""Signals on their way are sealed: nobody at the broker reads them, and what cannot be opened is not delivered."""

from pathlib import Path
from typing import Any

import nats
import pytest

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.signals import Posted, Signal
from tests.service.test_signaling import at, pair
from tests.support.broker import connector, container_engine
from tests.support.broker_kind import in_memory
from tests.support.sdp import candidate, offer
from tests.support.system import System


async def test_sealed_on_the_broker(nats_server: EmbeddedNats, tmp_path: Path) -> None:
    """What another user of the broker, or a disk, gets to see of a signal is neither its text nor any address in it."""
    system = System(connector(nats_server.url, nats_server.passwords))
    password = nats_server.passwords["gateway"]
    spy = await nats.connect(nats_server.url, user="gateway", password=password, inbox_prefix="_INBOX.gateway")
    seen: list[bytes] = []

    async def see(message: Any) -> None:
        seen.append(message.data + repr(message.headers).encode() + message.subject.encode())

    await spy.subscribe("agentlink.room.*.signal.*", cb=see)
    await spy.flush()
    try:
        alice, bob = await pair(system)
        await alice.ask("offer", to=at(bob), sdp=offer(), negotiation="n-o-n-c-e")
        await alice.ask("candidate", to=at(bob), candidate=candidate())
        await bob.hear("candidate")
        await spy.flush()
        assert len(seen) == 2
        for readable in (b"v=0", b"fingerprint", b"203.0.113.7", b"10.0.0.17", b"candidate:", b"n-o-n-c-e", b"EsAw"):
            assert not [raw for raw in seen if readable in raw]
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.blk"))  # noqa: ASYNC240 - it is short
        assert b"signal." in stored or container_engine(), "this is where the log is"
        assert b"203.0.113.7" not in stored
        assert b"a=fingerprint" not in stored
    finally:
        await spy.close()
        await system.stop()


@in_memory
async def test_a_signal_nobody_can_open(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not sealed by a gateway, or for somebody else, is dropped and counted; the room goes on."""
    alice, bob = await pair(system)
    signals = system.ports[2].signals
    posted: list[Signal] = []
    post = signals.post

    async def keep(signal: Signal) -> Posted:
        posted.append(signal)
        return await post(signal)

    monkeypatch.setattr(signals, "post", keep)
    await alice.ask("offer", to=at(bob), sdp=offer())
    await bob.hear("offer")
    real = posted[0]
    as_bob = Signal(real.room_id, real.to, real.to, real.epoch, real.body, 60)
    for forged in (b"", b"plain", real.body[:-1], real.body[:-1] + bytes([real.body[-1] ^ 1])):
        await post(Signal(real.room_id, real.to, real.sender, real.epoch, forged, 60))
    await post(as_bob)
    await bob.silence("offer")
    assert (await alice.ask("offer", to=at(bob), sdp=offer()))["type"] == "ok"
    await bob.hear("offer")
