"""Sealed signals: only gateways with a key open them, and only as what they were sealed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sealing import Sealer, Unopenable, bound

KEYS = {"k1": b"1" * 32, "k2": b"2" * 32}
BOUND = bound("voice-1", "p_a", 1, "p_b")


def sealer(*key_ids: str) -> Sealer:
    """A gateway with these keys; the first seals."""
    return Sealer({key_id: KEYS[key_id] for key_id in key_ids}, os.urandom)


@given(st.binary(max_size=2000))
def test_another_gateway_opens_it(body: bytes) -> None:
    """What one gateway seals another one with the same key opens, byte for byte; the body is not readable before."""
    sealed = sealer("k1").seal(body, BOUND)
    assert sealer("k1").open(sealed, BOUND) == body
    assert len(body) < 8 or body not in sealed


def test_keys_rotate() -> None:
    """While a new key is brought in, gateways with old and new keys understand each other, and later no more."""
    old, both, new = sealer("k1"), sealer("k2", "k1"), sealer("k2")
    assert both.open(old.seal(b"x", BOUND), BOUND) == b"x"
    assert new.open(both.seal(b"x", BOUND), BOUND) == b"x"
    with pytest.raises(Unopenable):
        new.open(old.seal(b"x", BOUND), BOUND)


def test_a_nonce_is_never_used_twice() -> None:
    """The same body sealed again looks different, from the same gateway and from another one."""
    one, other = sealer("k1"), sealer("k1")
    sealed = [one.seal(b"same", BOUND) for _ in range(100)] + [other.seal(b"same", BOUND) for _ in range(100)]
    assert len(set(sealed)) == 200
    assert len({bytes(s[3:31]) for s in sealed}) == 200, "salt and nonce together"


@pytest.mark.parametrize(
    "other",
    [
        ("voice-2", "p_a", 1, "p_b"),
        ("voice-1", "p_x", 1, "p_b"),
        ("voice-1", "p_a", 2, "p_b"),
        ("voice-1", "p_a", 1, "p_x"),
    ],
)
def test_it_is_bound_to_who_where_and_to_whom(other: tuple[str, str, int, str]) -> None:
    """Nobody can send it on in another room, as somebody else's, of another epoch, or to somebody else."""
    gateway = sealer("k1")
    sealed = gateway.seal(b"x", BOUND)
    with pytest.raises(Unopenable):
        gateway.open(sealed, bound(*other))


@given(st.binary(max_size=100))
def test_garbage_does_not_open(garbage: bytes) -> None:
    """Anything that is no sealed signal is Unopenable, and nothing else."""
    gateway = sealer("k1")
    with pytest.raises(Unopenable):
        gateway.open(garbage, BOUND)


@given(st.data())
def test_a_changed_bit_is_noticed(data: st.DataObject) -> None:
    """Any changed byte, or any missing end, makes it Unopenable."""
    gateway = sealer("k1")
    sealed = bytearray(gateway.seal(b"some body", BOUND))
    place = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(Unopenable):
        gateway.open(bytes(sealed[:place]), BOUND)
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unopenable):
        gateway.open(bytes(sealed), BOUND)


def test_strangers_salts_are_not_kept_for_ever() -> None:
    """However many processes have sent something, the derived keys that are kept are bounded, and old ones come back."""
    gateway, first = sealer("k1"), sealer("k1")
    kept = first.seal(b"x", BOUND)
    gateway.open(kept, BOUND)
    for _ in range(4200):
        with pytest.raises(Unopenable):
            gateway.open(b"\x02k1" + os.urandom(16) + bytes(12) + bytes(16), BOUND)
    assert len(gateway._derived) <= 4096
    assert gateway.open(kept, BOUND) == b"x"
    assert gateway.open(gateway.seal(b"own", BOUND), BOUND) == b"own"
