"""The accounts on a cluster of three: each server between a gateway and the stream keeps the log's order and the walls."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from services.launcher.embedded_cluster import EmbeddedCluster
from shared.broker import subjects
from shared.broker.nats import streams as nats_streams
from shared.values.ids import ParticipantId, RoomId
from tests.support.cluster import clustered
from tests.support.patience import eventually

R, P = RoomId("room-a"), ParticipantId("p_bob")
EACH = 150


class Wire(Client):
    """Notes subjects and positions as they come from the wire: before they part for their subscriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[tuple[str, int]] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        parsed = await self._process_headers(headers) or {}
        if subject.startswith(b"agentlink.room."):
            self.arrived.append((subject.decode(), int(parsed.get("Nats-Sequence", 0))))
        await super()._process_msg(sid, subject, reply, data, headers)


async def _connect(cluster: EmbeddedCluster, server: int, user: str, kind: type[Client] = Client) -> Any:
    client = kind()
    where = {"user": user, "password": cluster.passwords[user], "inbox_prefix": f"_INBOX.{user}"}
    await client.connect(cluster.servers[server].url, allow_reconnect=False, **where)  # type: ignore[arg-type]
    return client


@pytest.mark.slow
async def test_order_and_walls_hold_on_three_servers(tmp_path: Path) -> None:
    """Events and signals on two subscriptions arrive in the log's order at a gateway of each server, and nothing that
    one of them has answered below agentlink.room. arrives at any."""
    async with clustered(tmp_path, sync="2m") as cluster:
        rooms = await _connect(cluster, 0, "rooms")
        await nats_streams.ensure(rooms, nats_streams.Streams(max_bytes=1 << 26, replicas=3), 10)
        gateways = [await _connect(cluster, server, "gateway", Wire) for server in range(3)]
        for gateway in gateways:
            for subject in (f"agentlink.room.{R}.event", f"agentlink.room.{R}.signal.{P}"):
                await gateway.subscribe(subject, cb=_ignore)
            await gateway.flush()

        async def store(client: Client, subject: str) -> None:
            for _ in range(EACH):
                assert "seq" in json.loads((await client.request(subject, b"x", timeout=20)).data)

        signal = subjects.signal_log(R, P)
        await asyncio.gather(store(rooms, subjects.event_log(R)), *(store(gateway, signal) for gateway in gateways))
        for gateway in gateways:
            await eventually(lambda heard=gateway.arrived: len(heard) == 4 * EACH, "everything is heard")  # type: ignore[misc]
            assert [at for _, at in gateway.arrived] == sorted(at for _, at in gateway.arrived)
            assert len({subject for subject, _ in gateway.arrived}) == 2
        for gateway in gateways:
            for request in ("$JS.API.DIRECT.GET.ROOMS", "$JS.API.STREAM.INFO.ROOMS", "agentlink.lease.probe"):
                await gateway.publish(request, b'{"seq": 1}', f"agentlink.room.{R}.event")
            assert "seq" in json.loads((await gateway.request("agentlink.lease.probe", b"", timeout=20)).data)
        await asyncio.sleep(1)
        assert [len(gateway.arrived) for gateway in gateways] == [4 * EACH] * 3
        for client in (rooms, *gateways):
            await client.close()


async def _ignore(_message: Any) -> None:
    """What is heard was noted."""
