"""A small file system that is filled for real: a tmpfs that only those see who are started with it (Linux, unshare)."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# The first argument of `sh` is the folder. The process that mounts keeps the disk until it ends.
_KEEP = 'mount -t tmpfs -o size={size} none "$0" && echo there && exec sleep infinity'


class NoDisk(Exception):  # noqa: N818 - the reason of a skip
    """No disk can be mounted here. The message says why."""


class SmallDisk:
    """A disk of so many bytes at a folder, while it is open. `command` begins the command of who sees it."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._size = size
        self._keeper: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Mount it. Raises NoDisk."""
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", _KEEP.format(size=self._size), str(self.folder)]
        try:
            self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603 - fixed
        except FileNotFoundError as missing:
            raise NoDisk(str(missing)) from None
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().decode().strip()
        if said != "there":
            self.close()
            raise NoDisk(said)

    def close(self) -> None:
        """Let it go. It is gone when everybody who sees it has ended."""
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            assert self._keeper.stdout is not None
            self._keeper.stdout.close()

    @property
    def _pid(self) -> int:
        assert self._keeper is not None, "not open"
        return self._keeper.pid

    @property
    def command(self) -> tuple[str, ...]:
        """In front of a command. The process keeps its id."""
        return ("nsenter", "--target", str(self._pid), "--user", "--mount", "--preserve-credentials", "--")

    @property
    def inside(self) -> Path:
        """The folder, for those who do not see the disk."""
        return Path(f"/proc/{self._pid}/root{self.folder}")

    @property
    def free(self) -> int:
        """The bytes that are left."""
        return shutil.disk_usage(self.inside).free

    def fill(self, leave: int = 0) -> None:
        """Fill the disk, as somebody else's file would, up to so many bytes."""
        with (self.inside / "ballast").open("ab", buffering=0) as ballast, contextlib.suppress(OSError):  # really full
            while (left := self.free - leave) > 0:
                if not ballast.write(bytes(min(left, 1 << 20))):
                    return

    def clear(self) -> None:
        """Delete that file."""
        (self.inside / "ballast").unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """A small disk, or the test is skipped; where PARLEY_TEST_REQUIRE names `disk`, it fails."""
    disk = SmallDisk(folder, size)
    try:
        disk.open()
    except NoDisk as missing:
        if "disk" in os.environ.get("PARLEY_TEST_REQUIRE", "").split(","):
            pytest.fail(f"a small disk is required here (PARLEY_TEST_REQUIRE): {missing}")
        pytest.skip(f"needs the right to mount a tmpfs in a namespace: {missing}")
    try:
        yield disk
    finally:
        disk.close()
