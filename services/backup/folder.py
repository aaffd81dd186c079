"""Backups on disk: a folder each, whole or not there.

A backup is written below a hidden name and renamed when all of it is on the disk, so whatever has the name of a backup
is whole. Each stream has a folder in the layout of `nats stream backup`, which `nats stream restore` reads too.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from services.backup.errors import BackupError
from services.backup.manifest import NAME, Manifest, StoredFile
from shared.broker.nats.archive import About

if sys.platform != "win32":
    import fcntl

STAMP = "%Y%m%dT%H%M%SZ"
PARTIAL = ".partial-"
PIECE = 1 << 17  # bytes of one message to NATS; its largest is a mebibyte
ABOUT, ARCHIVE = "backup.json", "stream.tar.s2"


def unusable(folder: Path, error: OSError) -> BackupError:
    """The sentence for a folder that cannot be read or written."""
    if error.errno == errno.ENOSPC:
        return BackupError(f"there is no space left in {folder}: nothing was kept of this backup")
    return BackupError(f"{folder} cannot be used ({error.strerror or type(error).__name__})")


class Backups:
    """The folder that holds the backups of an installation, one below the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The whole backups, the oldest first."""
        return sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{NAME}"))

    @contextlib.contextmanager
    def one_more(self, now: datetime) -> Iterator["Unfinished"]:
        """A backup to be written. Without `finish` nothing is left of it. Raises BackupError, as the body may."""
        final = self.folder / now.strftime(STAMP)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone():
                for left in self.folder.glob(f"{PARTIAL}*"):  # of a backup that was killed
                    shutil.rmtree(left)
                if final.exists():
                    raise BackupError(f"{final} is there already: try again in a second")
                partial = self.folder / f"{PARTIAL}{final.name}"
                partial.mkdir(mode=0o700)
                try:
                    yield Unfinished(partial, final)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)  # not there any more when it was finished
        except OSError as error:
            raise unusable(self.folder, error) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / ".lock").open("a") as held:
            if sys.platform != "win32":
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BackupError(f"another backup is being written in {self.folder}") from None
            yield

    def forget(self, keep: int) -> list[str]:
        """Delete the oldest until so many are left, and return their names. Raises BackupError."""
        old = self.names()[:-keep]
        try:
            for name in old:
                hidden = self.folder / f"{PARTIAL}{name}"  # so that half of it is never taken for a backup
                (self.folder / name).rename(hidden)
                shutil.rmtree(hidden)
        except OSError as error:
            raise unusable(self.folder, error) from None
        return old


class Unfinished:
    """A backup that is being written."""

    def __init__(self, partial: Path, final: Path) -> None:
        self.final = final
        self._partial = partial
        self._files: dict[str, StoredFile] = {}

    @contextlib.contextmanager
    def archive(self, stream: str) -> Iterator[Callable[[bytes], object]]:
        """Writes the archive of a stream."""
        (self._partial / stream).mkdir()
        with self._new(f"{stream}/{ARCHIVE}") as write:
            yield write

    def describe(self, stream: str, about: About) -> None:
        """Write what the archive is of."""
        with self._new(f"{stream}/{ABOUT}") as write:
            write(json.dumps(about, indent=2).encode())

    def finish(self, taken_at: str, parley: str, nats: str, streams: tuple[str, ...]) -> None:
        """Give it its name. From then on it is there, whatever happens to the machine."""
        manifest = Manifest(taken_at, parley, nats, streams, self._files)
        with self._new(NAME) as write:
            write(manifest.encode())
        for folder in (*(self._partial / stream for stream in streams), self._partial):
            _sync(folder)
        self._partial.rename(self.final)
        _sync(self.final.parent)

    @contextlib.contextmanager
    def _new(self, name: str) -> Iterator[Callable[[bytes], object]]:
        with (self._partial / name).open("xb") as file:
            summed = _Summed(file)
            yield summed.write
            file.flush()
            os.fsync(file.fileno())
        if name != NAME:
            self._files[name] = StoredFile(summed.size, summed.digest.hexdigest())


class _Summed:
    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self.size += len(piece)
        self.digest.update(piece)


class Backup:
    """A backup that is there. Everything that can be said without NATS was checked."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> "Backup":
        """Read and check all of it. Raises BackupError."""
        try:
            manifest = Manifest.decode((folder / NAME).read_bytes())
            expected = {f"{stream}/{name}" for stream in manifest.streams for name in (ABOUT, ARCHIVE)}
            if manifest.files.keys() != expected:
                raise BackupError(f"{NAME} is damaged, or none of Parley's")
            for name, stored in manifest.files.items():
                _check(folder / name, stored)
        except FileNotFoundError as error:
            raise _missing(folder, Path(str(error.filename))) from None
        except OSError as error:
            raise unusable(folder, error) from None
        return cls(folder, manifest)

    def about(self, stream: str) -> About:
        """What the archive of a stream is of."""
        about: About = json.loads((self.folder / stream / ABOUT).read_bytes())
        return about

    def pieces(self, stream: str) -> Iterable[bytes]:
        """The archive of a stream. Raises BackupError."""
        try:
            with (self.folder / stream / ARCHIVE).open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        except OSError as error:
            raise unusable(self.folder, error) from None


def _check(file: Path, stored: StoredFile) -> None:
    size = file.stat().st_size
    if size != stored.size:
        raise BackupError(f"{file} has {size} bytes instead of {stored.size}: it was cut, or is another file")
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != stored.sha256:
            raise BackupError(f"{file} is not as it was written: its checksum is another one")


def _missing(folder: Path, file: Path) -> BackupError:
    if file.name != NAME:
        return BackupError(f"{file} is missing: this backup is not whole")
    if there := Backups(folder).names():
        return BackupError(f"{folder} holds backups and is none itself: name one of them, such as {folder / there[-1]}")
    if not folder.is_dir():
        return BackupError(f"there is no folder {folder}")
    return BackupError(f"{folder} is no backup: it has no {NAME} (what `nats` wrote, `nats stream restore` reads)")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
