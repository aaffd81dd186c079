"""Whether a regular expression can read a text in two ways, from its parsed form. One that cannot takes linear time."""

import importlib
import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

Characters = frozenset[int]

_parser: Any = importlib.import_module("re._parser")
_ALPHABET = frozenset([*range(256), 0x2028, 0xD800, 0x10FFFF])  # stands for all of Unicode
_END = -1  # not a character: what matches here matches nothing more
_DONE = -2  # as `_END`, and nothing can fail any more, so that no repetition before is asked for less


def ambiguities(pattern: re.Pattern[str], *, whole: bool = False) -> list[str]:
    """The repetitions and alternatives that could read one text in two ways; `whole` is for use with `fullmatch`.

    A repetition reads in one way if what may follow it begins with no character that the repetition goes on with.
    """
    reader = _Reader()
    parsed = _parser.parse(pattern.pattern, pattern.flags)
    reader.sequence(parsed, frozenset({_END if whole else _DONE}), fold=bool(pattern.flags & re.IGNORECASE))
    return reader.found


class _Reader:
    """Each method answers with which characters a piece may begin, given those with which the text after it may."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._looped = False

    def sequence(self, pieces: Iterable[Any], after: Characters, *, fold: bool) -> Characters:
        for kind, value in reversed(list(pieces)):
            after = self._piece(str(kind), value, after, fold)
        return after

    def _piece(self, kind: str, value: Any, after: Characters, fold: bool) -> Characters:
        match kind:
            case "LITERAL" | "IN":
                return _characters(kind, value, fold)
            case "NOT_LITERAL":
                return _ALPHABET - {value}
            case "AT" | "ASSERT" | "ASSERT_NOT":  # may fail; which characters it takes away is not looked at
                if kind != "AT":
                    self.sequence(value[1], frozenset({_END}), fold=fold)
                return frozenset(_END if one == _DONE else one for one in after)
            case "SUBPATTERN":
                _, added, removed, inner = value
                return self.sequence(
                    inner, after, fold=bool((fold or added & re.IGNORECASE) and not removed & re.IGNORECASE)
                )
            case "BRANCH":
                firsts = [self.sequence(one, after, fold=fold) for one in value[1]]
                if self._looped and not all(map(_told_apart, combinations(value[1], 2), combinations(firsts, 2))):
                    self.found.append(f"alternatives {value[1]}")
                return frozenset().union(*firsts)
            case "MAX_REPEAT":
                least, most, inner = value
                return self._repeat(least, most, inner, after, fold=fold)
        raise AssertionError(f"{kind} is not known here")

    def _repeat(self, least: int, most: int, inner: Any, after: Characters, *, fold: bool) -> Characters:
        outside, self._looped = self._looped, self._looped or most > 1
        again = _Reader().sequence(inner, frozenset(), fold=fold)
        self.sequence(inner, again | after if most > 1 else after, fold=fold)
        # An optional piece that is in no repetition is tried twice at most.
        if least != most and self._looped and _DONE not in after and again & after:
            self.found.append(f"{least} to {most} of {inner}, before {sorted(again & after)}")
        self._looped = outside
        return again if least else again | after


def _characters(kind: str, value: Any, fold: bool) -> Characters:
    taken: set[int] = set()
    for item, what in [("LITERAL", value)] if kind == "LITERAL" else value:
        if str(item) == "LITERAL":
            taken.add(what)
        elif str(item) == "RANGE":
            taken |= {one for one in _ALPHABET if what[0] <= one <= what[1]}
        elif str(item) != "NEGATE":
            raise AssertionError(f"{item} is not known here")
    if fold:
        taken |= {ord(other) for one in taken if one < 128 for other in (chr(one).lower(), chr(one).upper())}
    return _ALPHABET - taken if kind == "IN" and str(value[0][0]) == "NEGATE" else frozenset(taken)


def _told_apart(alternatives: Sequence[Any], firsts: Sequence[Characters]) -> bool:
    """Two alternatives begin differently, or are different words, or one says by a lookahead what it is not."""
    one, other = ([(str(kind), value) for kind, value in pieces] for pieces in alternatives)
    words = all(kind == "LITERAL" for kind, _ in one + other)
    if not firsts[0] & firsts[1] or (words and one[: len(other)] != other[: len(one)]):
        return True
    return any(pieces and pieces[0][0] == "ASSERT_NOT" for pieces in (one, other))
