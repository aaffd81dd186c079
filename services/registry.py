"""The table of services: the name, dependencies, stores and ports of each, and which services it asks.

The launcher and the embedded NATS server read it. tests/unit/test_registry.py compares the Dockerfile, compose, the
Kubernetes manifests, the NATS accounts and the documents with it. The services themselves do not import it, since an
image has the code of one service only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.auth.settings import AuthSettings
from services.gateway.settings import GatewaySettings
from services.rooms.settings import RoomsSettings
from shared.broker import subjects
from shared.runtime.settings import ServiceSettings

ACCOUNT = "AGENTLINK"  # of deploy/nats/accounts.conf
ACCOUNTS = Path(__file__).parents[1] / "deploy" / "nats" / "accounts.conf"
OPS_PORT = 9090  # in containers: probes and metrics of every service


@dataclass(frozen=True, slots=True)
class Store:
    """A stream of NATS or a database that a service owns. One that is not backed up can be rebuilt from the others."""

    name: str
    backed_up: bool
    kind: Literal["stream", "database"] = "stream"


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """The record of one service."""

    name: str  # of its folder, image, workload and NATS service, and in logs and metrics
    settings: type[ServiceSettings]
    group: str  # of dependencies in pyproject.toml, locked in requirements/<group>.txt
    user: str  # of NATS
    replicas: str  # the launcher's option for how many: `--rooms`, ROOMS
    colour: str  # of its lines in a terminal
    asks: tuple[str, ...] = ()  # services it calls: compose starts them before it, `make run` stops them after it
    public_port: int | None = None  # in containers; clients connect to it
    stores: tuple[Store, ...] = ()
    account: str = ACCOUNT
    program: str | None = None  # what `python -m` runs; `services.<name>` unless it says otherwise

    @property
    def module(self) -> str:
        """The module that `python -m` runs."""
        return self.program or f"services.{self.name}"

    @property
    def public(self) -> bool:
        """Whether clients connect to it."""
        return self.public_port is not None

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on in a container, by their names in Kubernetes."""
        return {"ops": OPS_PORT} | ({"http": self.public_port} if self.public_port is not None else {})


@dataclass(frozen=True, slots=True)
class Registry:
    """All services of an installation, and the NATS users and permissions they have."""

    services: tuple[ServiceRecord, ...]
    accounts: Path = ACCOUNTS
    observers: tuple[str, ...] = ("observer",)  # NATS users that are no services of ours
    operators: tuple[str, ...] = ("operator",)  # NATS users of people and their tools: backup and restore

    def __iter__(self) -> Iterator[ServiceRecord]:
        return iter(self.services)

    def __len__(self) -> int:
        return len(self.services)

    def __getitem__(self, name: str) -> ServiceRecord:
        return next(record for record in self.services if record.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all services."""
        return tuple(record.name for record in self.services)

    @property
    def users(self) -> tuple[str, ...]:
        """All NATS users, of services, observers and operators."""
        return (*(record.user for record in self.services), *self.observers, *self.operators)

    @property
    def backed_up(self) -> tuple[str, ...]:
        """The streams that are backed up, in this order: a service's log before what is armed ahead of its entries."""
        return self._kept("stream")

    @property
    def backed_up_elsewhere(self) -> tuple[str, ...]:
        """The databases that are to be backed up: services.backup knows nothing of them, and says so."""
        return self._kept("database")

    def _kept(self, kind: str) -> tuple[str, ...]:
        stores = [store for record in self.services for store in record.stores]
        return tuple(store.name for store in stores if store.backed_up and store.kind == kind)

    def settings_names(self) -> set[str]:
        """Every environment variable that some service understands."""
        return set().union(*(record.settings.environment_names() for record in self.services))


REGISTRY = Registry(
    (
        ServiceRecord(
            name="gateway",
            settings=GatewaySettings,
            group="gateway",
            user="gateway",
            replicas="gateways",
            colour="cyan",
            asks=("rooms", "auth"),
            account="GATEWAYS",
            public_port=8080,
        ),
        ServiceRecord(
            name="rooms",
            settings=RoomsSettings,
            group="rooms",
            user="rooms",
            replicas="rooms",
            colour="green",
            stores=(
                Store(subjects.LOG_STREAM, backed_up=True),
                Store(subjects.SNAPSHOT_STREAM, backed_up=False),  # folds of the log
                Store(subjects.TIMER_STREAM, backed_up=True),
                Store(subjects.LEASE_STREAM, backed_up=False),  # gateways arm theirs anew
            ),
        ),
        ServiceRecord(
            name="auth",
            settings=AuthSettings,
            group="auth",
            user="auth",
            replicas="auths",
            colour="magenta",
            account="AUTH",
        ),
    )
)
