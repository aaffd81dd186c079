"""Ties a process to its starter: when the starter ends, however it ends, the kernel ends the process too (Linux).

The command is started by this file, run as a script, which asks the kernel and then becomes the command: the process id
stays, and so does the wish, over `exec`. Nothing of ours runs between `fork` and `exec`, where threads make that unsafe.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # prctl(2)


def tethered(command: Sequence[str]) -> list[str]:
    """The command, tied to this process; to be started by a thread that lives as long as it (the kernel looks at that)."""
    if sys.platform != "linux":
        return list(command)
    # Isolated and without site-packages: a few milliseconds instead of a hundred.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _become(starter: int, command: list[str]) -> None:
    # Killed, not asked to stop: without the starter nobody reads its lines, and nobody makes it when it does not.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == starter:  # else it ended before the kernel was asked
        os.execvp(command[0], command)  # noqa: S606 - what the starter asked for, without a shell


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
