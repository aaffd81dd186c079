"""Taking a backup, and restoring one: what is done to NATS, and in which order."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from nats.aio.client import Client

from services.backup.errors import BackupError
from services.backup.folder import Backup, Backups
from shared.broker.nats import archive
from shared.broker.nats.archive import ArchiveError
from shared.version import __version__

Say = Callable[[str], None]


async def take(client: Client, streams: Sequence[str], backups: Backups, now: datetime, say: Say) -> Path:
    """Back up these streams, in this order, and return the folder. Raises BackupError; then nothing is kept.

    The order matters. Timers are armed before the entry that needs them is appended. So the log comes first: whatever
    is in its archive has its timers in theirs.
    """
    nats = _nats(client)
    try:
        with backups.one_more(now) as one:
            for stream in streams:
                with one.archive(stream) as write:
                    about = await archive.snapshot(client, stream, write)
                one.describe(stream, about)
                say(f"{stream}: {_amount(about)}")
            one.finish(now.isoformat(timespec="seconds"), __version__, nats, tuple(streams))
    except ArchiveError as error:
        raise BackupError(str(error)) from None
    return one.final


async def restore(client: Client, streams: Sequence[str], backup: Backup, replace: bool, say: Say) -> None:
    """Bring the streams of a backup back. `streams` are those that this release backs up. Raises BackupError.

    Services use none of them before all are whole. What fails halfway is deleted again, the whole ones with it.
    """
    manifest = backup.manifest
    manifest.check(parley=__version__, nats=_nats(client), streams=tuple(streams))
    clustered = bool(client._server_info.get("cluster"))
    try:
        await _look(client, manifest.streams, replace)
        try:
            for stream in manifest.streams:
                about = backup.about(stream)
                copies = about["config"]["num_replicas"] if clustered else 1
                await archive.restore(client, stream, about, partial(backup.pieces, stream), copies)
                say(f"{stream}: {_amount(about)}")
            for stream in reversed(manifest.streams):  # the log last: services wait for it
                await archive.release(client, stream)
        except BaseException:  # interrupted, too
            with contextlib.suppress(ArchiveError):  # a stream that stays half restored carries its mark
                for stream in manifest.streams:
                    await archive.delete(client, stream)
            raise
    except ArchiveError as error:
        raise BackupError(str(error)) from None


async def _look(client: Client, streams: Sequence[str], replace: bool) -> None:
    """Whether all may be made anew. Raises BackupError, ArchiveError: before anything was changed."""
    there = [(stream, await archive.describe(client, stream)) for stream in streams]
    taken = [
        f"{stream} with {found['state']['messages']} messages"
        for stream, found in there
        if found is not None and found["state"]["last_seq"] > 0  # an empty one is no loss
    ]
    if taken and not replace:
        raise BackupError(f"NATS has {', '.join(taken)}; with --replace (REPLACE=1) that is deleted first")


def _nats(client: Client) -> str:
    version = client.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


def _amount(about: archive.About) -> str:
    state = about["state"]
    return f"{state['messages']} messages up to {state['last_seq']}, {state['bytes']} bytes"


def moment() -> datetime:
    """Now."""
    return datetime.now(UTC)
