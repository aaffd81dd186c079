"""`make bench`: joins, relay, CPU of the gateway, memory per connection, on this machine, all processes included."""

import asyncio
import os
import time
from collections.abc import Sequence

from bench.clients import OFFER, BenchClient, open_many
from bench.deployment import Deployment, bare, deployed

CLIENTS = 200
RELAY_RATE = 500
RELAY_SECONDS = 10.0
IDLE_CONNECTIONS = 2000


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def row(what: str, values: Sequence[float]) -> None:
    """One line of milliseconds."""
    p50, p99 = (percentile(values, share) * 1000 for share in (0.5, 0.99))
    print(f"{what:<58} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   n {len(values)}")


def used(deployment: Deployment, before: dict[str, tuple[float, float]], count: int) -> None:
    """The rest of a line: what each process has used since then, for each of so many."""
    for name, cpu in before.items():
        user, system = ((now - then) / count * 1e6 for now, then in zip(deployment.cpu_seconds(name), cpu, strict=True))
        print(f"  {name} {user + system:.0f} µs (own code {user:.0f}, kernel {system:.0f})", end="")
    print()


async def joins(deployment: Deployment) -> list[BenchClient]:
    """Clients join rooms of two, one after another; then leave and join again, twenty at a time."""
    clients = await open_many(deployment, CLIENTS)
    cpu = {name: deployment.cpu_seconds(name) for name in deployment.pids}
    alone = [await client.join(f"pair-{i // 2}") for i, client in enumerate(clients)]
    row("join, one after another", alone)
    print("  CPU per join:", end="")
    used(deployment, cpu, CLIENTS)
    for client in clients:
        await client.ask("leave_room")
    turn = asyncio.Semaphore(20)

    async def again(i: int, client: BenchClient) -> float:
        async with turn:
            return await client.join(f"again-{i // 2}")

    row("join, twenty at a time", await asyncio.gather(*(again(i, client) for i, client in enumerate(clients))))
    return clients


async def relay(deployment: Deployment, clients: list[BenchClient], rate: int, seconds: float) -> None:
    """Offers of 2 kB between the clients of each pair at a steady rate; one way, from send to receive."""
    latencies: list[float] = []
    started: dict[str, float] = {}

    def received(message: dict[str, object], arrived: float) -> None:
        latencies.append(arrived - started.pop(str(message["negotiation"])))

    for client in clients:
        client.on_signal = received
    count = int(rate * seconds)
    cpu = {name: deployment.cpu_seconds(name) for name in deployment.pids}
    begin = time.perf_counter()
    asked = []
    for i in range(count):
        pause = begin + i / rate - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        sender = clients[i % len(clients)]
        receiver = clients[(i % len(clients)) ^ 1]
        started[str(i)] = time.perf_counter()
        asked.append(
            asyncio.ensure_future(sender.ask("offer", to=receiver.participant_id, sdp=OFFER, negotiation=str(i)))
        )
    replies = await asyncio.gather(*asked)
    took = time.perf_counter() - begin
    await asyncio.sleep(0.5)
    stored = sum(reply["type"] == "ok" for reply in replies)
    row(f"relay of a {len(OFFER)} B offer, {rate}/s wanted, {count / took:.0f}/s done", latencies)
    print(f"  stored {stored} of {count}, received {len(latencies)}; CPU per signal:", end="")
    used(deployment, {name: cpu[name] for name in ("gateway", "nats")}, count)


async def memory(deployment: Deployment) -> None:
    """Idle joined connections, ten to a room."""
    before = deployment.resident_bytes("gateway")
    clients = await open_many(deployment, IDLE_CONNECTIONS, at_once=50)
    turn = asyncio.Semaphore(50)

    async def join(i: int, client: BenchClient) -> None:
        async with turn:
            await client.join(f"idle-{i // 10}")

    started = time.perf_counter()
    await asyncio.gather(*(join(i, client) for i, client in enumerate(clients)))
    took = time.perf_counter() - started
    await asyncio.sleep(3)
    each = (deployment.resident_bytes("gateway") - before) / IDLE_CONNECTIONS
    print(
        f"{'memory per idle joined connection, ' + str(IDLE_CONNECTIONS) + ' of them':<58} {each / 1024:.1f} KiB",
        end="",
    )
    print(f"   ({IDLE_CONNECTIONS / took:.0f} joins/s)")
    before_idle = sum(deployment.cpu_seconds("gateway"))
    await asyncio.sleep(10)
    idle = (sum(deployment.cpu_seconds("gateway")) - before_idle) / 10
    print(f"{'CPU of the gateway with them idle':<58} {idle:.1%} of a core")
    await asyncio.gather(*(client.close() for client in clients))


async def main() -> None:
    """All of it."""
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before; clients and all services share them\n")
    async with deployed(PARLEY_CONNECTIONS_PER_ADDRESS="10000", PARLEY_MESSAGE_RATE="1000") as deployment:
        clients = await joins(deployment)
        await relay(deployment, clients, RELAY_RATE, RELAY_SECONDS)
        await relay(deployment, clients, 3000, 5.0)
        await asyncio.gather(*(client.close() for client in clients))
    print("\nyardstick: a bare relay, websockets and core NATS, without validation, rooms, storage and sealing")
    async with bare() as deployment:
        clients = await open_many(deployment, CLIENTS)
        for client in clients:
            await client.join("any")
        await relay(deployment, clients, RELAY_RATE, RELAY_SECONDS)
        await relay(deployment, clients, 3000, 5.0)
        await asyncio.gather(*(client.close() for client in clients))
    print()
    async with deployed(PARLEY_CONNECTIONS_PER_ADDRESS="10000") as deployment:
        await memory(deployment)


if __name__ == "__main__":
    asyncio.run(main())
