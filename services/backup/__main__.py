"""`python -m services.backup take|restore|check FOLDER`: exit status 0, or 1 with one sentence on standard error."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from services.backup.backing_up import moment, restore, take
from services.backup.errors import BackupError
from services.backup.folder import Backup, Backups
from services.backup.place import Place, place_of
from services.registry import REGISTRY, Registry

INTERRUPTED = 130


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.backup", description=sys.modules["services.backup"].__doc__
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA", ".data")), help="of `make run`")
    verbs = parser.add_subparsers(dest="verb", required=True)
    taking = verbs.add_parser("take", help="write a new backup into this folder, below the time as its name")
    taking.add_argument("folder", type=Path)
    taking.add_argument("--keep", type=int, default=0, metavar="N", help="then delete all but the newest N backups")
    restoring = verbs.add_parser("restore", help="bring the streams of this backup back")
    restoring.add_argument("folder", type=Path)
    restoring.add_argument("--replace", action="store_true", help="delete the streams that are there")
    verbs.add_parser("check", help="say whether this backup is whole").add_argument("folder", type=Path)
    return parser


def _say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - what a program for people says


async def _take(place: Place, registry: Registry, folder: Path, keep: int) -> None:
    backups = Backups(folder)

    async def taking(client: Client) -> None:
        _say(f"backed up to {await take(client, registry.backed_up, backups, moment(), _say)}")

    await place.use(taking)
    for name in backups.forget(keep) if keep > 0 else []:
        _say(f"deleted {folder / name}")


async def _restore(place: Place, registry: Registry, backup: Backup, replace: bool) -> None:
    await place.use(lambda client: restore(client, registry.backed_up, backup, replace, _say))
    for stream in registry.backed_up:
        if stream not in backup.manifest.streams:
            _say(f"{stream} is not in this backup, and stays as it is")
    _say(f"restored {backup.folder}, which was taken at {backup.manifest.taken_at}")


def _do(given: argparse.Namespace, registry: Registry) -> None:
    if given.verb == "check":
        _say(f"{given.folder} is whole: {', '.join(Backup.open(given.folder).manifest.streams)}")
        return
    if unknown := registry.backed_up_elsewhere:
        names = ", ".join(unknown)
        raise BackupError(f"this does not back up {names}, and restores no database: write here how that is done first")
    (operator,) = registry.operators
    if given.verb == "take":
        _run(_take(place_of(os.environ, given.data, operator), registry, given.folder, given.keep))
    else:
        backup = Backup.open(given.folder)
        _run(_restore(place_of(os.environ, given.data, operator), registry, backup, given.replace))


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Do it; SIGTERM interrupts as Ctrl-C does, so that nothing half written stays."""

    async def cancelled_by_sigterm() -> None:
        task = asyncio.current_task()
        if task is not None and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    asyncio.run(cancelled_by_sigterm())


def main(registry: Registry = REGISTRY) -> int:
    """Run, and return the exit status."""
    try:
        _do(_arguments().parse_args(), registry)
    except BackupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
