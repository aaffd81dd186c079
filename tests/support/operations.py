"""What the log calls a change that a client asked for, computed by what the client knows."""

import zlib
from collections.abc import Iterator

from shared.rooms.events import Stamp
from shared.values.ids import fingerprint


def operation_of(session_id: str, request_id: str, text: str | bytes) -> str:
    """The fingerprint of the operation: session, id and the text that was sent."""
    body = text.encode() if isinstance(text, str) else text
    return fingerprint(f"{fingerprint(session_id)}:{request_id}:{zlib.crc32(body):x}")


def named_in(stamp: Stamp) -> Iterator[str]:
    """The fingerprints of all operations that an entry names."""
    yield fingerprint(stamp.operation)
    yield from stamp.also
