"""Programs that start without starting Python: a process with the command's libraries loaded forks for each of them.

What runs is a process of its own with its own streams, environment, signals and exit status, as when a shell starts it;
only the half second of loading is spent once. As a program, this file is that process.
"""

import contextlib
import functools
import gc
import io
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

LONGEST = 1 << 20  # bytes of a command line and its environment
STREAMS = 3
NOBODY = "http://127.0.0.1:1"


class Forked:
    """A program that was forked; what `subprocess.Popen` is for others."""

    def __init__(self, pid: int, ends: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ends = ends

    def poll(self) -> int | None:
        """Its exit status, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit status when it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._ends], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.returncode = int(self._ends.recv(64))
            self._ends.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forker:
    """The process with the libraries; it ends when the one that started it does."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours = ours
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - this very file
                [sys.executable, "-m", "tests.clients.cli.forked", str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def fork(self, arguments: Sequence[str], variables: Mapping[str, str], streams: Sequence[int]) -> Forked:
        """`parley` with these arguments, this environment, and these three descriptors as its streams."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            order = json.dumps([list(arguments), dict(variables)]).encode()
            socket.send_fds(self._ours, [order], [*streams, its.fileno()])
        return Forked(int(ours.recv(64)), ours)


@functools.cache
def forker() -> Forker:
    """The one of this process."""
    return Forker()


# -- in the process that forks -----------------------------------------------------------------------------------------


def serve(control: socket.socket) -> tuple[list[str], dict[str, str]] | None:
    """In each child: its arguments and its environment. In the parent: None, once nobody asks any more."""
    woken, wakes = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    living: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            _tell_ends(living)
        if control in ready:
            order, fds, _, _ = socket.recv_fds(control, LONGEST, STREAMS + 1)
            if not order:
                return None
            pid = os.fork()
            if pid == 0:
                _become(fds[:STREAMS])
                os.closerange(STREAMS, max(*fds, control.fileno(), wakes.fileno(), *living.values()) + 1)
                arguments, variables = json.loads(order)
                return arguments, variables
            for fd in fds[:STREAMS]:
                os.close(fd)
            living[pid] = fds[STREAMS]
            os.write(living[pid], str(pid).encode())


def _tell_ends(living: dict[int, int]) -> None:
    for pid in list(living):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            told = living.pop(pid)
            os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(told)


def _become(streams: Sequence[int]) -> None:
    """As a program is started: these streams, and no handler of ours."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as Python opens them
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


def _load(run: Callable[[], int]) -> None:
    """What commands need they import when they run, so run some that ask nobody."""
    silent = io.StringIO()
    for arguments in (["rooms", "list", "--help"], ["rooms", "list", "--limit", "0"], ["join", "r", "--url", NOBODY]):
        sys.argv = ["parley", *arguments]
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            run()
    logging.getLogger().handlers.clear()
    gc.collect()
    gc.freeze()  # a collection in a child would copy all of it


def main() -> int:
    """Load, and fork as often as is asked for."""
    from parley.cli.__main__ import main as run

    control = socket.socket(fileno=int(sys.argv[1]))
    _load(run)
    work = serve(control)
    if work is None:
        return 0
    arguments, variables = work
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["parley", *arguments]
    return run()


if __name__ == "__main__":
    sys.exit(main())
