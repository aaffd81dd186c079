"""Cursors: opaque to clients, who may send anything back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.values.cursor import Cursor
from shared.values.position import Position

INCARNATIONS = st.text("ABCabc019_-", min_size=1, max_size=32)


@given(INCARNATIONS, st.integers(0, 10**18), st.integers(0, 9999), st.none() | st.integers(0, 10**18))
def test_round_trip(incarnation: str, sequence: int, part: int, events: int | None) -> None:
    """What was written is read back, and needs no escaping in JSON."""
    cursor = Cursor(incarnation, Position(sequence), part, None if events is None else Position(events))
    text = cursor.text()
    assert Cursor.parse(text) == cursor
    assert text.isascii()
    assert not set(text) & set('"\\')


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a",
        "a.",
        ".1",
        "a.-1",
        "a.1.",
        "a.1.2.3",
        "a.1e3",
        "a.٣",
        "a b.1",
        "a.1\n",
        "\na.1",
        "a." + "9" * 20,
        "x" * 33 + ".1",
        "a.1.00000",
        "a.+1",
        "a.0x1",
    ],
)
def test_none_of_ours(text: str) -> None:
    """Anything else is none, and no exception."""
    assert Cursor.parse(text) is None


@given(st.text(max_size=40))
def test_never_an_exception(text: str) -> None:
    """Whatever a client sends is a cursor or none."""
    cursor = Cursor.parse(text)
    assert cursor is None or Cursor.parse(cursor.text()) == cursor
