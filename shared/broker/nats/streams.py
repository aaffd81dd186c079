"""The configuration of the streams, and how they are made and identified."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client

from shared.broker import subjects
from shared.broker.log import LogFormat
from shared.broker.room_log import ROOM_LOG
from shared.broker.watch import StreamState
from shared.values.errors import unavailable
from shared.values.ids import fingerprint
from shared.values.position import Position

NOT_FOUND = 10059  # JetStream API error: stream not found
NANOSECONDS = 1_000_000_000
NAME = "parley-incarnation"  # of the metadata of a stream that went back
SNAPSHOT_DAYS = 7
DUPLICATE_WINDOW_SECONDS = 120
LEASES_BYTES = 16 << 20  # of thousands of gateways
LEASE_BYTES = 2 << 10  # with its headers, the trace's too
TIMER_BYTES = 16 << 10
RESTORING = "parley.restoring"  # in the metadata of a stream that is not whole yet (archive.py)


def log_stream(log_format: LogFormat[Any, Any], *, max_bytes: int, replicas: int) -> dict[str, Any]:
    """The configuration of a log's stream."""
    return {
        "name": log_format.stream,
        "description": log_format.description,
        "subjects": [log_format.subjects],
        "storage": "file",
        "retention": "limits",
        # A full stream refuses new entries. Deleting old ones would lose who is in a room.
        "discard": "new",
        "max_bytes": max_bytes,
        "duplicate_window": DUPLICATE_WINDOW_SECONDS * NANOSECONDS,
        "allow_direct": True,
        "allow_msg_ttl": True,
        "num_replicas": replicas,
        "republish": {"src": log_format.subjects, "dest": log_format.live_subjects},
    }


def lease_stream(replicas: int) -> dict[str, Any]:
    """The configuration of the stream of leases."""
    return {
        "name": subjects.LEASE_STREAM,
        "description": "The leases of gateways, each on a subject that only its gateway knows.",
        "subjects": [subjects.LEASE_SUBJECTS],
        "storage": "file",
        "retention": "workqueue",  # as TIMERS
        "allow_msg_schedules": True,
        "allow_rollup_hdrs": True,
        "allow_msg_ttl": True,  # of marks
        # Any gateway may write here. So what it writes is small, and all of it together takes no space of rooms' log:
        # a full stream drops its oldest, and a lease or a mark that is dropped is armed anew (HeldLease). Schedules
        # do not allow `discard: new`, which would refuse the others' renewals too.
        "discard": "old",
        "max_bytes": LEASES_BYTES,
        "max_msg_size": LEASE_BYTES,
        "max_msgs_per_subject": 1,
        "allow_direct": False,  # who may read it could end and prolong leases
        "num_replicas": replicas,
    }


@dataclass(frozen=True, slots=True)
class Streams:
    """The size and replicas of the streams (from rooms' settings), and the logs that they hold."""

    max_bytes: int
    replicas: int = 1
    logs: tuple[LogFormat[Any, Any], ...] = (ROOM_LOG,)

    @property
    def names(self) -> list[str]:
        """The names of all streams."""
        return [wanted["name"] for wanted in self.configurations()]

    def configurations(self) -> list[dict[str, Any]]:
        """Stream configurations as the JetStream API takes them (durations in nanoseconds)."""
        logs = [log_stream(log, max_bytes=self.max_bytes, replicas=self.replicas) for log in self.logs]
        snapshots = {
            "name": subjects.SNAPSHOT_STREAM,
            "description": "The newest fold of each room: a cache of the log, safe to delete.",
            "subjects": [subjects.SNAPSHOT_SUBJECTS],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_bytes": self.max_bytes,
            "max_msgs_per_subject": 1,
            "max_age": SNAPSHOT_DAYS * 86400 * NANOSECONDS,
            "allow_direct": True,
            "num_replicas": self.replicas,
        }
        timers = {
            "name": subjects.TIMER_STREAM,
            "description": "What waits for its time, what is due, and which gateway may be in which room.",
            "subjects": [subjects.TIMER_SUBJECTS],
            "storage": "file",
            # Acknowledging a due timer deletes it. A waiting timer has no consumer, and stays. There is no maximum age
            # or size, since that would delete waiting timers (schedules do not allow `discard: new`).
            "retention": "workqueue",
            "allow_msg_schedules": True,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
            "max_msg_size": TIMER_BYTES,
            "num_replicas": self.replicas,
        }
        return [*logs, snapshots, timers, lease_stream(self.replicas)]


async def _api(client: Client, subject: str, body: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
    try:
        answer = await client.request(f"$JS.API.{subject}", json.dumps(body).encode() if body else b"", timeout=seconds)
    except (TimeoutError, nats.errors.Error, OSError):
        raise unavailable("the broker") from None
    result: dict[str, Any] = json.loads(answer.data)
    return result


async def ensure(client: Client, streams: Streams, seconds: float) -> list[str]:
    """Make the streams, or bring them to these settings. Returns which were missing.

    Raises `Refused(unavailable)` when the broker will not.
    """
    made = []
    for wanted in streams.configurations():
        name = wanted["name"]
        there = await _api(client, f"STREAM.INFO.{name}", None, seconds)
        if _restoring(there):
            raise unavailable(f"stream {name} (it is being restored, or was half restored): the broker")
        missing = there.get("error", {}).get("err_code") == NOT_FOUND
        if not missing and all(there.get("config", {}).get(key) == value for key, value in wanted.items()):
            continue
        metadata = there.get("config", {}).get("metadata")  # the log's name is in there
        settled = {**wanted, "metadata": metadata} if metadata else wanted
        result = await _api(client, f"STREAM.{'CREATE' if missing else 'UPDATE'}.{name}", settled, seconds)
        if "error" not in result:
            made += [name] if missing else []
        elif result["error"].get("err_code") != 10058:  # another process made it meanwhile
            raise unavailable(f"stream {name} ({result['error'].get('description', 'refused')}): the broker")
    return made


async def state(client: Client, stream: str, seconds: float) -> StreamState | None:
    """The stream of this name now. None while there is none that is whole. Raises `Refused(unavailable)`."""
    return _state(stream, await _api(client, f"STREAM.INFO.{stream}", None, seconds))


def _state(stream: str, there: dict[str, Any]) -> StreamState | None:
    if "created" not in there or _restoring(there):
        return None
    config, held = there["config"], there["state"]
    # A log that went back has the creation time that it had before. So the time is not all of its name.
    name = there["created"] + (config.get("metadata") or {}).get(NAME, "")
    return StreamState(
        name=stream,
        incarnation=fingerprint(name)[:10],
        created=there["created"],
        first=Position(held["first_seq"]),
        last=Position(held["last_seq"]),
        messages=held["messages"],
        bytes=held["bytes"],
        max_bytes=max(0, config.get("max_bytes", 0)),
    )


async def rename(client: Client, stream: str, seconds: float) -> None:
    """Give the stream a name that no stream had before. Raises `Refused(unavailable)`."""
    there = await _api(client, f"STREAM.INFO.{stream}", None, seconds)
    if "config" not in there:
        return
    metadata = {**(there["config"].get("metadata") or {}), NAME: secrets.token_hex(8)}
    result = await _api(client, f"STREAM.UPDATE.{stream}", {**there["config"], "metadata": metadata}, seconds)
    if "error" in result:
        raise unavailable(f"stream {stream} ({result['error'].get('description', 'refused')}): the broker")


def _restoring(there: dict[str, Any]) -> bool:
    return RESTORING in (there.get("config", {}).get("metadata") or {})
