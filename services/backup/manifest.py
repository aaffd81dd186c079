"""What a backup says of itself, in `parley.json`: its format, its versions, and a checksum of every file (pure)."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from services.backup.errors import BackupError

NAME = "parley.json"
FORMAT = 1

Version = tuple[int, int]


def version(text: str) -> Version:
    """Major and minor. Raises ValueError."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the backup, by its path in the folder."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`streams` are in the order in which they were taken, and are restored. `files` are all files but this one."""

    taken_at: str
    parley: str
    nats: str
    streams: tuple[str, ...]
    files: dict[str, StoredFile]

    def encode(self) -> bytes:
        """As it is stored, with a checksum of its own."""
        said = {"format": FORMAT, **asdict(self)}
        return json.dumps(said | {"checksum": _checksum(said)}, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """From a folder's `parley.json`. Raises BackupError."""
        try:
            said: dict[str, Any] = json.loads(text)
            stored = said.pop("checksum")
            found = said.pop("format")
        except (ValueError, AttributeError, KeyError, TypeError):
            raise BackupError(f"{NAME} is damaged, or none of Parley's") from None
        if found != FORMAT:
            raise BackupError(f"this is a backup of format {found}, and this release of Parley reads format {FORMAT}")
        if stored != _checksum({"format": found, **said}):
            raise BackupError(f"{NAME} was changed: its checksum is another one")
        try:
            files = {name: StoredFile(**about) for name, about in said.pop("files").items()}
            return cls(streams=tuple(said.pop("streams")), files=files, **said)
        except (ValueError, AttributeError, KeyError, TypeError):
            raise BackupError(f"{NAME} is damaged, or none of Parley's") from None

    def check(self, *, parley: str, nats: str, streams: tuple[str, ...]) -> None:
        """Raise BackupError unless this release, on this NATS server, restores all of it."""
        for what, made_by, ours in (("Parley", self.parley, parley), ("NATS", self.nats, nats)):
            if version(made_by) > version(ours):
                raise BackupError(
                    f"the backup was made by {what} {made_by}, and this is {ours}: restore it with that one"
                )
        unknown = [stream for stream in self.streams if stream not in streams]
        if unknown:
            raise BackupError(f"the backup has a stream {unknown[0]}, which is none that this release backs up")


def _checksum(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
