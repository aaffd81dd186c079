"""What the head of a request must have, whatever it asks for. Pure."""

from collections.abc import Iterable

HEAD_LINES = 128


class Malformed(Exception):  # noqa: N818 - what was sent, not what failed here
    """The head is not one of HTTP."""


def check_host(version: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """One `Host`, which only HTTP/1.0 may leave out (RFC 9112, section 3.2). Names are in lower case. Raises Malformed."""
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version != "1.0"):
        raise Malformed
