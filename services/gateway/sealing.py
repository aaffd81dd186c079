"""Seals signals (AES-256-GCM), so that only gateways can read the network addresses in what the broker stores.

Keys rotate by id. A process derives a key of its own from the first one (HKDF with a random salt, RFC 5869), so that a
counter is a safe nonce. A sealed signal is: length of key id, key id, salt (16), nonce (12), ciphertext and tag.
"""

from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT_BYTES = 16
NONCE_BYTES = 12
KNOWN_SENDERS = 4096  # derived keys kept, one per gateway process that sends signals to this one


class Unopenable(Exception):  # noqa: N818 - an outcome: not for us, or not from a gateway
    """None of this gateway's keys opens the signal, or the signal was bound to something else."""


class Sealer:
    """Seals and opens. `keys` by id; the first seals. `chance(n)` gives n random bytes."""

    def __init__(self, keys: Mapping[str, bytes], chance: Callable[[int], bytes]) -> None:
        self._chance = chance
        self.use(keys)

    def use(self, keys: Mapping[str, bytes]) -> None:
        """Seal and open with these from here on."""
        self._keys = {key_id.encode(): key for key_id, key in keys.items()}
        self._derived: dict[tuple[bytes, bytes], AESGCM] = {}
        key_id = next(iter(self._keys))
        salt = self._chance(SALT_BYTES)
        self._own = self._derive(key_id, salt)
        self._head = bytes([len(key_id)]) + key_id + salt
        self._count = 0

    def _derive(self, key_id: bytes, salt: bytes) -> AESGCM:
        known = self._derived.get((key_id, salt))
        if known is None:
            key = self._keys.get(key_id)
            if key is None:
                raise Unopenable
            if len(self._derived) >= KNOWN_SENDERS:
                self._derived.clear()
            known = AESGCM(HKDF(SHA256(), 32, salt, b"parley signal").derive(key))
            self._derived[(key_id, salt)] = known
        return known

    def seal(self, body: bytes, bound: bytes) -> bytes:
        """The sealed body. `bound` (see the function `bound`) is not encrypted, but `open` needs the same value."""
        self._count += 1
        nonce = self._count.to_bytes(NONCE_BYTES)
        return self._head + nonce + self._own.encrypt(nonce, body, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """The body. Raises Unopenable."""
        at = 1 + (sealed[0] if sealed else 0)
        salt_end = at + SALT_BYTES
        nonce_end = salt_end + NONCE_BYTES
        try:
            key = self._derive(sealed[1:at], sealed[at:salt_end])
            return key.decrypt(sealed[salt_end:nonce_end], sealed[nonce_end:], bound)
        except (InvalidTag, ValueError):
            raise Unopenable from None


def bound(room_id: str, sender: str, epoch: int, to: str) -> bytes:
    """What a signal is bound to: a sealed signal copied to another room, sender or receiver does not open."""
    return f"{room_id} {sender} {epoch} {to}".encode()
