"""STUN messages as far as asking for an allocation needs them (RFC 8489, RFC 8656; pure)."""

import hashlib
import hmac
import ipaddress
import struct
from dataclasses import dataclass, field

COOKIE = 0x2112A442
HEADER = 20
BINDING, ALLOCATE, REFRESH = 0x0001, 0x0003, 0x0004
SUCCESS, ERROR = 0x0100, 0x0110
USERNAME, INTEGRITY, ERROR_CODE, LIFETIME, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x000D, 0x0014, 0x0015
RELAYED, TRANSPORT, MAPPED = 0x0016, 0x0019, 0x0020
UDP = bytes((17, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Message:
    """A method and class (`kind`), a transaction of 12 bytes, and attributes in order."""

    kind: int
    transaction: bytes
    attributes: dict[int, bytes] = field(default_factory=dict)

    def encode(self, key: bytes | None = None) -> bytes:
        """The bytes; with a key, signed by it (MESSAGE-INTEGRITY)."""
        body = b"".join(_attribute(kind, value) for kind, value in self.attributes.items())
        if key is None:
            return self._header(len(body)) + body
        signed = self._header(len(body) + 24) + body
        return signed + _attribute(INTEGRITY, hmac.digest(key, signed, hashlib.sha1))

    def _header(self, length: int) -> bytes:
        return struct.pack("!HHI", self.kind, length, COOKIE) + self.transaction

    @property
    def error(self) -> tuple[int, str] | None:
        """Number and words of an error."""
        value = self.attributes.get(ERROR_CODE)
        if value is None or len(value) < 4:
            return None
        return (value[2] & 7) * 100 + value[3], value[4:].decode(errors="replace")

    def address(self, kind: int) -> str | None:
        """An address that is masked with the cookie, as `host:port`."""
        value = self.attributes.get(kind)
        if value is None or len(value) not in (8, 20):
            return None
        mask = struct.pack("!I", COOKIE) + self.transaction
        port = struct.unpack("!H", value[2:4])[0] ^ (COOKIE >> 16)
        host = ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=False)))
        return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def length_of(header: bytes) -> int:
    """How many bytes follow a header. Raises ValueError: this is no STUN."""
    _kind, length, cookie = struct.unpack("!HHI", header[:8])
    if cookie != COOKIE or length % 4:
        raise ValueError("no STUN message")
    return int(length)


def decode(data: bytes) -> Message:
    """Raises ValueError."""
    if len(data) < HEADER or length_of(data) != len(data) - HEADER:
        raise ValueError("no STUN message")
    attributes: dict[int, bytes] = {}
    at = HEADER
    while at + 4 <= len(data):
        kind, length = struct.unpack("!HH", data[at : at + 4])
        attributes.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4
    return Message(struct.unpack("!H", data[:2])[0], data[8:HEADER], attributes)


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """RFC 8489, section 9.2.2: MD5 is what it says, and TURN's credentials are short-lived."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()
