"""Run as a script: forks today's services, which it imports once. Asked over standard input, one JSON object a line.

A start costs a tenth of what a new interpreter costs, and is the same process otherwise: `python -m services.<name>`.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import time
import traceback
import warnings
from typing import Any, NoReturn

SERVICES = ("rooms", "auth", "gateway")
PR_SET_PDEATHSIG = 1  # prctl(2)


def start(service: str, environment: dict[str, str], log: str) -> int:
    """Fork a service that writes to this file; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _become(service, environment, log)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _become(service: str, environment: dict[str, str], log: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # it ends with this script
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(written, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a file, in a process of its own
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        del os.environ[name]
    os.environ.update(environment)
    sys.argv = [f"services.{service}"]
    sys.modules.pop(f"services.{service}.__main__", None)
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)


def stop(pid: int, number: int, within: float) -> int:
    """Send it a signal and wait; its exit status, or minus the signal that ended it. Killed when it takes longer."""
    os.kill(pid, number)
    deadline = time.monotonic() + within
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def main() -> NoReturn:
    """Answer until standard input ends."""
    warnings.simplefilter("ignore")
    for service in SERVICES:
        importlib.import_module(f"services.{service}.__main__")
    gc.collect()
    gc.freeze()  # a service collects once when it starts: what came with the fork need not be walked again
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        answer = start(**order["start"]) if "start" in order else stop(**order["stop"])
        print(answer, flush=True)  # noqa: T201 - that is how it answers
    raise SystemExit


if __name__ == "__main__":
    main()
