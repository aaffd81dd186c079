"""Ties a process to its starter: when the starter ends, in whatever way, the kernel kills the process too (Linux).

This file runs as a script. It makes the request to the kernel (`PR_SET_PDEATHSIG`), then becomes the command by `exec`,
which keeps the process id and the request. So none of our code runs between `fork` and `exec`, where threads make that
unsafe.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # prctl(2)


def tethered(command: Sequence[str]) -> list[str]:
    """The command, tied to this process. Start it from a thread that lives as long as the process: the kernel kills the
    command when that thread ends.
    """
    if sys.platform != "linux":
        return list(command)
    # Isolated and without site-packages: a few milliseconds instead of a hundred.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _become(starter: int, command: list[str]) -> None:
    # SIGKILL, since without the starter nothing reads the command's lines or makes it end.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == starter:  # else the starter ended before the request was made
        os.execvp(command[0], command)  # noqa: S606 - what the starter asked for, without a shell


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
