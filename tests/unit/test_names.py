"""The one rule for names that are shown: what clients may give, and how the names in tokens are mended."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.values import names

ORDINARY = [
    "Sara",
    "محمد علی\u200cپور",  # Persian: a zero-width non-joiner inside a word
    "நிலா",
    "ක්\u200dරිස්",  # Sinhala is spelt with joiners
    "山田\u3000太郎",
    "葛\U000e0100城",  # an ideographic variant
    "Jean\u00a0Paul",
    "👩\u200d🚀 Ada",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f Mhairi",
    "홍길동",
    "❤\ufe0f",
    "\U0001fadf",  # an emoji that came after Python 3.11's Unicode, among others
    "x" * 128,
]
UNSEEN = [
    *("\u200d", "\u200c", "\u3164", "\u2800", "\u115f", "\u1160", "\uffa0", "\u17b4", "\u034f", "\ufe0f", "\u180b"),
    *(
        "\U000e0100",
        " ",
        "\u00a0",
        "\u3000",
        "\u2003",
        "\u0301",
        "\U00013441",
        "\u3164 \u2800\u200d",
        "",
        "\ufe0f\u200d",
    ),
]
HARMFUL = [
    *(
        "a\x00b",
        "bell\a",
        "a\nb",
        "a\x1b[31m",
        "\u202eevil",
        "a\u2066b",
        "a\u200eb",
        "a\u061cb",
        "a\u2028b",
        "a\u0085b",
    ),
    *("a\ufeffb", "a\u200bb", "a\u2060b", "a\u00adb", "a\ufffeb", "a\ufdd0b", "a\U000e0041b", "\ud800", "a\ufff9b\x7f"),
]


@pytest.mark.parametrize("name", ORDINARY[:-2])
def test_ordinary_names_pass(name: str) -> None:
    """What people are called in their own scripts passes, and comes out of a token unchanged."""
    assert names.fault(name) is None
    assert names.mended(name, "instead") == name


def test_characters_of_later_unicodes_pass_beside_others() -> None:
    """A name with an emoji that this Python does not know is accepted: others know it."""
    assert names.fault("Ada \U0001fadf") is None


@pytest.mark.parametrize("name", UNSEEN)
def test_names_that_nobody_sees(name: str) -> None:
    """A name of nothing but characters without a glyph is refused; a token's is replaced."""
    assert names.fault(name) == names.RULE
    assert names.mended(name, "agent-1") == "agent-1"


@pytest.mark.parametrize("name", HARMFUL)
def test_names_that_garble(name: str) -> None:
    """Controls, marks that reorder text and hidden text are refused; a token's name is shown without them."""
    assert names.fault(name) == names.RULE
    mended = names.mended(name, "agent-1")
    assert names.fault(mended) is None


def test_mending() -> None:
    """Line ends become spaces, ends are trimmed, length is cut, and what is no text is replaced."""
    assert names.mended("  Ada\nLovelace\u202e ", "x") == "Ada Lovelace"
    assert names.mended("n" * 300, "x") == "n" * 128
    odd: object
    for odd in (None, 1, ["a"], {}, True, ""):
        assert names.mended(odd, "agent-1") == "agent-1"


def test_a_cut_takes_no_character_apart() -> None:
    """An emoji of several characters, or a letter with its marks, is whole or not there."""
    family = "👩\u200d👩\u200d👧"
    assert names.mended("n" * 126 + family, "x") == "n" * 126
    assert names.mended("n" * 127 + "e\u0301", "x") == "n" * 127
    assert names.mended("a" + "\u0301" * 200, "x") == "a" + "\u0301" * 127


@given(st.text(max_size=200), st.integers(1, 128))
@example("\u0301" * 130, 128)
@example("🏴\U000e0067\U000e007f" * 60, 127)
def test_whatever_a_token_says_can_be_shown(text: str, characters: int) -> None:
    """A mended name obeys the rule that clients' names obey, is short enough, and what obeys it already is kept."""
    mended = names.mended(text, "agent-1", characters)
    assert mended == "agent-1" or len(mended) <= characters
    assert names.fault(mended) is None
    if len(text) <= characters and text == text.strip() and names.fault(text) is None:
        assert mended == text


def test_every_refused_character_is_invisible_or_moves_others() -> None:
    """No letter, number, punctuation or symbol of any script is refused inside a name."""
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character)[0] in "LNPSM" or unicodedata.category(character) in ("Zs", "Co"):
            assert names.fault(f"a{character}") is None, hex(code)
