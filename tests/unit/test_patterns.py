"""The regular expressions of the product: right on every Python that is supported, and linear whatever they read."""

import ast
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.wire import candidate, sdp
from tests.support.manifests import ROOT
from tests.support.patterns import ambiguities
from tests.unit.test_sdp import NO_MEDIA, OFFER

_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)  # [...]: `*+` in it are two characters
_POSSESSIVE = re.compile(r"(?<!\\)[*+?}]\+|\(\?>")


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Each string literal with its line. `{}` stands for what an f-string puts in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.lineno, node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        elif isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)


def possessive(source: str) -> list[tuple[int, str]]:
    return [(line, text) for line, text in literals(source) if _POSSESSIVE.search(_CLASS.sub("[]", text))]


@pytest.mark.parametrize("folder", ["services", "shared", "clients/python"])
def test_none_is_possessive(folder: str) -> None:
    """Neither possessive repetitions nor atomic groups, as long as Python 3.11.0 to 3.11.4 are supported.

    Those compile them wrongly (gh-106052, mended in 3.11.5), and Debian 12 has 3.11.2. The pattern then refuses what it
    should match, or matches what it should refuse, and no newer Python shows it.
    """
    sources = sorted(Path(ROOT / folder).rglob("*.py"))
    assert sources
    found = {str(path.relative_to(ROOT)): lines for path in sources if (lines := possessive(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "pattern", ['r"a++"', 'r"a*+b"', 'r"(?:ab)?+"', 'r"[+]{1,4}+"', 'rb"(?>a)"', 'rf"[a]{{0,{MOST}}}+"', 'rf"{TOKEN}+"']
)
def test_possessive_ones_are_found(pattern: str) -> None:
    """In each of their spellings, also where an f-string puts one together."""
    assert possessive(f"re.compile({pattern})")


@pytest.mark.parametrize("pattern", ['r"[*+]"', 'r"[^]*+\\]?+]x"', 'r"\\++"', 'r"a+b"', 'rf"{{1,{MOST}}}"'])
def test_others_are_not_taken_for_them(pattern: str) -> None:
    assert not possessive(f"re.compile({pattern})")


def seconds(read: Callable[[], object]) -> float:
    """Of the processor, which does not count what others do on this machine; the best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        read()
        times.append(time.process_time() - start)
    return min(times)


READ_FROM_THE_START = [*sdp._CRLF, *sdp._LF, candidate._CANDIDATE, sdp._FORBIDDEN, sdp._CONTROL]
READ_WHOLE = [candidate._MDNS]
NEEDS_TWO_CHARACTERS = candidate._HARMLESS_V6  # to tell `:` from `::`; what it reads is 64 characters at most


def test_all_patterns_are_looked_at() -> None:
    """The lists have every pattern of the two modules."""
    there = [value for module in (sdp, candidate) for value in vars(module).values()]
    known = {*READ_FROM_THE_START, *READ_WHOLE, NEEDS_TWO_CHARACTERS}
    assert {value for value in there if isinstance(value, re.Pattern)} <= known
    assert [value for value in there if isinstance(value, sdp._Grammar)] == [sdp._CRLF, sdp._LF]


@pytest.mark.parametrize("pattern", READ_FROM_THE_START, ids=lambda pattern: pattern.pattern[:20])
def test_a_text_is_read_in_one_way(pattern: re.Pattern[str]) -> None:
    """Whatever follows a repetition begins with a character that the repetition cannot take: it goes back for nothing."""
    assert ambiguities(pattern) == []


@pytest.mark.parametrize("pattern", READ_WHOLE, ids=lambda pattern: pattern.pattern[:20])
def test_a_whole_text_is_read_in_one_way(pattern: re.Pattern[str]) -> None:
    """The same with the end of the text as what follows."""
    assert ambiguities(pattern, whole=True) == []


@pytest.mark.parametrize("tail", ["x", ":", "::", "::1::", ":12345"])
def test_hextets_are_read_at_once(tail: str) -> None:
    """The pattern for IPv6 addresses is linear as well."""
    text = "2001" + ":1" * (1 << 18) + tail
    assert seconds(lambda: NEEDS_TWO_CHARACTERS.fullmatch(text)) < 1


@pytest.mark.parametrize(
    "pattern",
    ["a*ab", "[a-z]{1,9}[f-h]", "(?:a*)*b", "(?:a|a)*b", "(?:a|aab?)*c", "(?:a?a)*b", "(?i:a*)Ab", "(?:a+,?)+x"],
)
def test_ambiguous_ones_are_found(pattern: str) -> None:
    """Patterns that go back over a text, polynomial and exponential ones."""
    assert ambiguities(re.compile(pattern)) != []


HOST = "1 1 udp 1 192.0.2.1 5000 typ host"
HOSTILE: dict[str, Callable[[int], str]] = {
    "known extensions": lambda n: HOST + " generation 1" * (n // 13) + " ",
    "known ones at the limit of their length": lambda n: HOST + " network-cost 1234567890" * (n // 24) + "1",
    "names that begin like known ones": lambda n: HOST + " ufrags abcd" * (n // 12) + " ufrag abc",
    "unknown extensions": lambda n: HOST + " a b" * (n // 4) + " a",
    "one long value": lambda n: HOST + " a " + "b" * n + "\x00",
    "one long name": lambda n: HOST + " " + "a" * n,
}
HOSTILE_LINES: dict[str, Callable[[int], str]] = {
    "attributes": lambda n: NO_MEDIA + "a=x:y\r\n" * (n // 7) + "a=x:y",
    "attributes without values": lambda n: NO_MEDIA + "a=midi\r\n" * (n // 8) + "a=mid",
    "a long value": lambda n: NO_MEDIA + "a=x:" + "y" * n,
    "a long word": lambda n: "v=0\r\no=" + "y" * n,
    "a long group": lambda n: NO_MEDIA + "a=group:BUNDLE" + " 0" * (n // 2) + " ",
    "long tokens": lambda n: NO_MEDIA + "a=group:" + ("0" * 64 + " ") * (n // 65) + "\x00",
    "many formats": lambda n: OFFER + "m=audio 9 UDP/TLS/RTP/SAVPF" + " 0" * (n // 2) + " \r\n",
    "times": lambda n: NO_MEDIA.replace("t=0 0\r\n", "t=0 0\r\nr=x\r\n" * (n // 12) + "t=0"),
    "bandwidths": lambda n: NO_MEDIA + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n" + "b=AS:1\r\n" * (n // 8) + "b=AS:",
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_candidate_is_read_at_once(shape: str) -> None:
    """A quarter of a megabyte takes milliseconds. If time grew with the square of the length, it would take minutes."""
    text = HOSTILE[shape](1 << 18)
    assert seconds(lambda: candidate._CANDIDATE.match(text)) < 1


@pytest.mark.parametrize("shape", HOSTILE_LINES)
def test_a_hostile_description_is_read_at_once(shape: str) -> None:
    """The same for the two patterns of descriptions."""
    text = HOSTILE_LINES[shape](1 << 18)

    def read() -> None:
        head = sdp._CRLF.head.match(text)
        assert head
        for found in sdp._CRLF.line.finditer(text, head.end()):
            if found.lastgroup is None:  # where `check_sdp` stops too
                break

    assert seconds(read) < 1
