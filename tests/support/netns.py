"""Gives processes on this machine their own networks (Linux network namespaces), which can be cut off and healed.

    with isolated(3) as net:
        Process(*net.inside(0), "nats-server", "-a", net.address(0))
        net.cut(0)      # packets from and to it are lost; its connections stay open and receive nothing
        net.heal(0)

All namespaces and this machine share one bridge. Needs root; where that is missing, the test is skipped.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = 254  # the last byte of this machine's address on the bridge


class Refused(Exception):  # noqa: N818 - the reason of a skip
    """The kernel does not allow a step. The message says which."""


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - iproute2
    if done.returncode != 0:
        raise Refused(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Network:
    """A bridge with namespaces on it. Everything is named after this process, and removed with `close`."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._mark = f"pl{os.getpid():x}"  # interface names have 15 characters at most
        # From the block that is set aside for tests of networks (RFC 2544); another process takes another part of it.
        self._subnet = f"198.{18 + os.getpid() // 256 % 2}.{os.getpid() % 256}"

    @property
    def here(self) -> str:
        """This machine's address, as the namespaces see it."""
        return f"{self._subnet}.{HERE}"

    def address(self, index: int) -> str:
        """The address of a namespace."""
        return f"{self._subnet}.{index + 1}"

    def inside(self, index: int) -> tuple[str, ...]:
        """The prefix of a command that is to run there. The process id is that of the command itself."""
        return ("ip", "netns", "exec", self._name(index))

    def cut(self, index: int) -> None:
        """Take the cable out: packets are lost silently, both ways."""
        _ip("link", "set", self._cable(index), "down")

    def heal(self, index: int) -> None:
        """Put it back."""
        _ip("link", "set", self._cable(index), "up")

    def open(self) -> None:
        """Make it. Raises Refused."""
        bridge = f"{self._mark}b"
        _ip("link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        _ip("address", "add", f"{self.here}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for index in range(self.count):
            name, cable = self._name(index), self._cable(index)
            _ip("netns", "add", name)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", cable, "master", bridge, "up")
            _ip("-n", name, "address", "add", f"{self.address(index)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def close(self) -> None:
        """Remove what there is of it; processes that still run there keep an empty network."""
        for index in range(self.count):
            with contextlib.suppress(Refused):
                _ip("link", "delete", self._cable(index))
            with contextlib.suppress(Refused):
                _ip("netns", "delete", self._name(index))
        with contextlib.suppress(Refused):
            _ip("link", "delete", f"{self._mark}b")

    def _name(self, index: int) -> str:
        return f"{self._mark}n{index}"

    def _cable(self, index: int) -> str:
        return f"{self._mark}v{index}"


def remove_orphans() -> None:
    """Remove the networks of processes that were killed before they could."""
    for entry in Path("/sys/class/net").glob("pl*b"):
        with contextlib.suppress(ValueError):
            owner = int(entry.name[2:-1], 16)
            if not Path(f"/proc/{owner}").exists():
                orphan = Network(0)
                orphan._mark = f"pl{owner:x}"
                orphan.count = len(list(Path("/sys/class/net").glob(f"{orphan._mark}v*")))
                orphan.close()


@contextmanager
def isolated(count: int) -> Iterator[Network]:
    """A network for one test, which is skipped where there is none."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    network = Network(count)
    try:
        remove_orphans()
        network.open()
    except (Refused, FileNotFoundError) as error:
        with contextlib.suppress(FileNotFoundError):
            network.close()
        pytest.skip(f"no network namespaces here: {error}")
    try:
        yield network
    finally:
        network.close()
