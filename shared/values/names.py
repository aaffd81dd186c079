"""What a name that is shown to people is made of: the one rule, for clients' names and for those in tokens. Pure.

A client's name is accepted as it is or refused. The name in a token is mended, since a token is judged by what it allows.
The rule stands on Unicode's own properties: general categories, and `Default_Ignorable_Code_Point` (below).
"""

import re
import unicodedata
from bisect import bisect_right

NAME_CHARACTERS = 128
RULE = "must have visible characters and no control or formatting characters"

# DerivedCoreProperties.txt of Unicode 16, Default_Ignorable_Code_Point: characters that a font shows nothing for.
_IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_FIRSTS = [first for first, _ in _IGNORABLE]
# Braille, Egyptian, musical and Khitan characters whose glyph is empty by their name, though no property says so.
_BLANK = frozenset("\u2800\U00013441\U00013442\U0001d159\U00016fe4")
_JOINERS = frozenset("\u200c\u200d")  # Persian, Indic scripts and composed emoji are written with them
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,16}\U000e007f")  # such as Scotland's, spelt with invisible tags
_UNSEEN = frozenset(
    ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp", "Zs", "Mn", "Mc", "Me")
)  # a mark alone has nothing to stand on
_LINES = frozenset(("Cc", "Zl", "Zp"))


def fault(name: str) -> str | None:
    """What is wrong with a name, as the end of a sentence; None if it can be shown as it is."""
    spelt = _FLAG.sub("\U0001f3f4", name)
    return None if any(map(_is_seen, spelt)) and not any(map(_is_refused, spelt)) else RULE


def mended(name: object, instead: str, characters: int = NAME_CHARACTERS) -> str:
    """The name that is shown for what a token says: without what is refused, cut to length; `instead` if nothing is left."""
    if not isinstance(name, str):
        return instead
    flags = [found.span() for found in _FLAG.finditer(name)]
    kept = "".join(_kept(c, any(start <= at < end for start, end in flags)) for at, c in enumerate(name)).strip()
    cut = _cut(kept, characters).strip()
    return cut if any(map(_is_seen, cut)) else instead


def _kept(character: str, in_flag: bool) -> str:
    if in_flag or not _is_refused(character):
        return character
    return " " if unicodedata.category(character) in _LINES else ""


def _cut(name: str, characters: int) -> str:
    """At most so many characters, and none of them without what belongs to it."""
    if len(name) <= characters:
        return name
    at = characters
    while at and (_clings(name[at]) or name[at - 1] == "\u200d"):
        at -= 1
    return name[: at or characters]


def _clings(character: str) -> bool:
    return unicodedata.category(character).startswith("M") or _is_ignorable(character)


def _is_ignorable(character: str) -> bool:
    at = bisect_right(_FIRSTS, ord(character)) - 1
    return at >= 0 and ord(character) <= _IGNORABLE[at][1]


def _is_seen(character: str) -> bool:
    """Whether a reader sees it."""
    if character in _BLANK or _is_ignorable(character):
        return False
    return unicodedata.category(character) not in _UNSEEN


def _is_refused(character: str) -> bool:
    """Whether it would garble a page or a log line: control characters, marks that reorder text, hidden text.

    Characters that this Python's Unicode does not know yet pass, since next year's emoji are among them.
    """
    category = unicodedata.category(character)
    if category in _LINES or category == "Cs":
        return True
    if category == "Cn":
        return ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF or _is_ignorable(character)
    return category == "Cf" and character not in _JOINERS and _is_ignorable(character)
