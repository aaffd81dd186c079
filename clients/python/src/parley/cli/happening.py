"""What happened in a room, in one shape wherever it was heard: the JSON that `watch` and `join` write (pure)."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_PREFIX = "agentlink.room."
_KEPT = ("participant", "room", "by", "reason")


def from_cloud_events(batch: object) -> Iterator[Json]:
    """The happenings of a message on NATS (docs/protocol.md, section 9). What is unknown is passed on as it is."""
    for event in batch if isinstance(batch, list) else []:
        if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
            continue
        data = event["data"]
        kind = str(event.get("type", ""))
        yield happening(
            kind.removeprefix(_PREFIX) if "participant" in kind else "room_" + kind.removeprefix(_PREFIX),
            str(event.get("subject", "")),
            str(event.get("time", "")),
            revision=data.get("revision"),
            **{name: data[name] for name in _KEPT if name in data},
        )


def happening(kind: str, room_id: str, time: str, **more: Any) -> Json:
    """Members that are None are left out."""
    return {
        "type": kind,
        "time": time,
        "roomId": room_id,
        **{name: value for name, value in more.items() if value is not None},
    }
