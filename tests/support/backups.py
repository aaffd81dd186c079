"""Backups for tests: taken from a real server and restored, by the program's own code or by the program."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nats.aio.client import Client

from services.backup import backing_up
from services.backup.folder import ABOUT, ARCHIVE, Backup, Backups
from services.backup.manifest import NAME, Manifest, StoredFile
from services.backup.place import Place
from services.launcher.embedded_nats import EmbeddedNats
from services.registry import REGISTRY
from tests.support.broker import ContainerNats
from tests.support.processes import Process

(OPERATOR,) = REGISTRY.operators


def place(server: EmbeddedNats | ContainerNats) -> Place:
    """The server as the operator comes to it."""
    return Place(tuple(server.url.split(",")), OPERATOR, server.passwords[OPERATOR])


async def take(place: Place, folder: Path, streams: Sequence[str] = REGISTRY.backed_up, day: int = 1) -> Path:
    """A backup below this folder, as if taken on that day."""
    made: list[Path] = []

    async def work(client: Client) -> None:
        now = datetime(2026, 11, day, tzinfo=UTC)
        made.append(await backing_up.take(client, streams, Backups(folder), now, lambda _: None))

    await place.use(work)
    return made[0]


async def restore(
    place: Place, folder: Path, streams: Sequence[str] = REGISTRY.backed_up, *, replace: bool = False
) -> None:
    """This backup."""
    backup = Backup.open(folder)
    await place.use(lambda client: backing_up.restore(client, streams, backup, replace, lambda _: None))


def program(*arguments: str | Path, environment: Mapping[str, str]) -> Process:
    """`python -m services.backup`."""
    return Process.module("services.backup", *map(str, arguments), environment=environment)


def environment(server: EmbeddedNats | ContainerNats, user: str = OPERATOR) -> dict[str, str]:
    """As compose and Kubernetes say where NATS is."""
    return {
        "PARLEY_NATS_URL": server.url,
        "PARLEY_NATS_USER": user,
        "PARLEY_NATS_PASSWORD": server.passwords[user],
    }


def sign(folder: Path, **changed: object) -> None:
    """Write the manifest anew, with checksums of the files as they are now: a forger's work, or another release's."""
    said = json.loads((folder / NAME).read_text())
    manifest = Manifest(
        taken_at=said["taken_at"],
        parley=str(changed.get("parley", said["parley"])),
        nats=str(changed.get("nats", said["nats"])),
        streams=tuple(said["streams"]),
        files={
            f"{stream}/{name}": _stored(folder / stream / name)
            for stream in said["streams"]
            for name in (ABOUT, ARCHIVE)
        },
    )
    (folder / NAME).write_bytes(manifest.encode())


def _stored(file: Path) -> StoredFile:
    body = file.read_bytes()
    return StoredFile(len(body), hashlib.sha256(body).hexdigest())
