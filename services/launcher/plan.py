"""The plan of `make run`, from its options and the environment. It is checked before anything starts."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from services.gateway.settings import GatewaySettings
from services.launcher.addresses import EVERYWHERE
from services.launcher.certificate import CERTIFICATE, KEY
from services.launcher.embedded_nats import SYNC
from services.registry import REGISTRY, Registry, ServiceRecord
from shared.runtime.settings import OF_CLIENTS, PREFIX, SettingsError

CLUSTERS = (1, 3, 5)  # an even number of servers tolerates no more losses than the odd number below it
COPIES = 3  # of the streams, on a cluster; with five copies each write would cost two more
LOG_REPLICAS = PREFIX + "LOG_REPLICAS"
STORE_FOLDER = PREFIX + "STORE_FOLDER"
LOGS_KEPT = 2  # the log, and the cache of its folds, which may be as large
TIMER_BYTES = 256 << 20  # for the streams without a size: a waiting timer has some hundred bytes
TLS_CERTIFICATE, TLS_KEY = PREFIX + "TLS_CERTIFICATE", PREFIX + "TLS_KEY"


class CannotStart(Exception):  # noqa: N818 - what ends the launcher, in one sentence
    """The launcher cannot start. The message is one sentence for the person who started it."""


def numbered(name: str, count: int) -> list[str]:
    """`rooms`, or with several `rooms-1`, `rooms-2` …"""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


@dataclass
class Plan:
    """The number of processes, their addresses and their settings. `replicas` is by service; the default is 1."""

    host: str
    port: int
    data: Path
    nats_url: str | None = None
    registry: Registry = REGISTRY
    replicas: dict[str, int] = field(default_factory=dict)
    nats_servers: int = 1
    sync: str = SYNC
    environment: dict[str, str] = field(default_factory=dict)
    tls: bool = False

    def count(self, service: ServiceRecord) -> int:
        """The number of processes of a service."""
        return self.replicas.get(service.name, 1)

    def names(self, service: ServiceRecord) -> list[str]:
        """The names of a service's processes in log lines."""
        return numbered(service.name, self.count(service))

    def environment_of(self, service: ServiceRecord) -> dict[str, str]:
        """The settings of a service as environment variables, without NATS and without the ports of each process."""
        known = service.settings.environment_names()
        environment = {PREFIX + "MODE": "development", PREFIX + "LOG_FORMAT": "console"}
        if self.nats_url is None:
            own = {LOG_REPLICAS: str(min(self.nats_servers, COPIES)), STORE_FOLDER: str(self.nats_folder)}
            environment |= {name: value for name, value in own.items() if name in known}
        environment |= {name: value for name, value in self.environment.items() if name in known}
        if service.public:
            environment |= {PREFIX + "HOST": self.host, PREFIX + "PORT": str(self.port)}
            if self.makes_certificate:
                environment |= {
                    TLS_CERTIFICATE: str(self.tls_folder / CERTIFICATE),
                    TLS_KEY: str(self.tls_folder / KEY),
                }
        return environment

    @property
    def makes_certificate(self) -> bool:
        """Whether to make a self-signed certificate: with `TLS=1`, unless the environment names another one."""
        return self.tls and not {TLS_CERTIFICATE, TLS_KEY} & self.environment.keys()

    @property
    def tls_folder(self) -> Path:
        """The folder of the self-signed certificate."""
        return self.data / "tls"

    @property
    def nats_folder(self) -> Path:
        """The folder of the embedded servers. Each number of servers has its own."""
        return self.data / ("nats" if self.nats_servers == 1 else f"nats-cluster-of-{self.nats_servers}")

    @property
    def store_bytes(self) -> int:
        """The most that the streams may take on one server."""
        sizes = [
            getattr(service.settings.read(self.environment_of(service)), "log_max_bytes", 0)
            for service in self.registry
        ]
        return LOGS_KEPT * max(sizes) + TIMER_BYTES

    @property
    def copies(self) -> int:
        """How many copies the servers keep of what is stored."""
        return max(
            getattr(service.settings.read(self.environment_of(service)), "log_replicas", 1) for service in self.registry
        )

    def gateway(self) -> GatewaySettings:
        """The settings that the gateways will read."""
        return GatewaySettings.read(self.environment_of(self.registry["gateway"]))

    def url(self, port: int, host: str | None = None) -> str:
        """The URL of the gateway with this port, for clients on this machine or, with `host`, under that address."""
        host = host or ("127.0.0.1" if self.host in EVERYWHERE else self.host)
        return f"{self.gateway().scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def check(self) -> None:
        """Read every service's settings from the plan. Raises SettingsError."""
        unknown = sorted(self.environment.keys() - self.registry.settings_names())
        if unknown:
            raise SettingsError(f"unknown setting {unknown[0]} (docs/configuration.md lists what there is)")
        for service in self.registry:
            service.settings.read(self.environment_of(service))
            last = self.port + self.count(service) - 1
            if service.public and self.port and last > 65535:
                raise SettingsError(f"the last {service.name}'s port would be {last}; choose a lower PORT")
        self._check_nats()

    def _check_nats(self) -> None:
        if self.nats_servers not in CLUSTERS:
            raise SettingsError("NATS_SERVERS must be 1, 3 or 5")
        if not re.fullmatch(r"always|[1-9]\d*(ms|s|m|h)", self.sync):
            raise SettingsError("NATS_SYNC must be `always` or a duration such as 2m")
        if self.nats_url is not None:
            if self.nats_servers > 1:
                raise SettingsError("NATS_SERVERS is for servers of our own and NATS_URL for others; choose one")
        elif self.copies > self.nats_servers:
            raise SettingsError(
                f"{LOG_REPLICAS} is {self.copies}, but each copy needs a server of its own (NATS_SERVERS)"
            )


def environment() -> dict[str, str]:
    """The settings of services in this process's environment."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and name not in OF_CLIENTS}
