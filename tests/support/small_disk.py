"""A small file system that is filled for real: a tmpfs that only one process and its children see (Linux, unshare)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# The first argument of `sh` is the folder, the others are the command.
_MOUNT = 'mount -t tmpfs -o size={size} none "$0" && exec "$@"'


class SmallDisk:
    """A disk of so many bytes. `command` begins the command that has it at `folder`."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._size = size

    @property
    def command(self) -> tuple[str, ...]:
        """In front of a command. The process keeps its id, and nothing is left when it has ended."""
        return ("unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT.format(size=self._size), str(self.folder))

    def inside(self, pid: int) -> Path:
        """The folder, seen through a process that has the disk."""
        return Path(f"/proc/{pid}/root{self.folder}")

    @staticmethod
    def entering(pid: int) -> tuple[str, ...]:
        """In front of a command that is to see the disk as that process does."""
        return ("nsenter", "--target", str(pid), "--user", "--mount", "--preserve-credentials", "--")

    def free(self, pid: int) -> int:
        """The bytes that are left."""
        return shutil.disk_usage(self.inside(pid)).free

    def fill(self, pid: int, leave: int = 0) -> None:
        """Fill the disk, as somebody else's file would, up to so many bytes."""
        with (self.inside(pid) / "ballast").open("ab", buffering=0) as ballast:
            while (left := self.free(pid) - leave) > 0:
                try:
                    if not ballast.write(bytes(min(left, 1 << 20))):
                        return
                except OSError:  # really full
                    return

    def clear(self, pid: int) -> None:
        """Delete that file."""
        (self.inside(pid) / "ballast").unlink()


def small_disk(folder: Path, size: int) -> SmallDisk:
    """A small disk, or the test is skipped."""
    disk = SmallDisk(folder, size)
    try:
        tried = subprocess.run([*disk.command, "true"], capture_output=True, check=False)  # noqa: S603 - fixed
    except FileNotFoundError:
        tried = None
    if tried is None or tried.returncode != 0:
        if "disk" in os.environ.get("PARLEY_TEST_REQUIRE", ""):
            pytest.fail("a small disk is required here (PARLEY_TEST_REQUIRE), and cannot be mounted")
        pytest.skip("needs Linux, and the right to mount a tmpfs in a namespace")
    return disk
