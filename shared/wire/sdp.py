"""Which session descriptions pass, by order and form of lines, DTLS, ICE and BUNDLE. Nothing else decides that.

Pure: text in, nothing or `Refused` out. A description is accepted verbatim or refused; it is never rewritten. A refusal
names the rule and the line's number, never the line's text. Rules: RFC 8866 (lines), RFC 8839 (ICE), RFC 8122 and 8842
(DTLS), RFC 9143 (BUNDLE), RFC 8829 (what browsers write).

It is fast, because one pattern steps over all lines that need no check (codecs, extensions) and stops at the next that
does. It is linear, because a text can be read in one way only: what follows a repetition begins with a character that it
cannot take. Possessive repetitions would be linear too, but Python before 3.11.5 gets them wrong (gh-106052).
"""

import re
from typing import Literal, NamedTuple

from shared.values.errors import Code, Refused
from shared.wire.candidate import DEFAULT_POLICY, CandidatePolicy, candidate_fault

# Chromium's offer with 63 video sections and a data channel has 267 KB and 7,957 lines; Firefox's 154 KB and 4,631.
MAX_SDP_BYTES = 1 << 19
MAX_LINE = (
    4096  # characters of a value; the longest of browsers are identity assertions and H.264 parameter sets, below 2,000
)
MAX_LINES = 16384
MAX_MEDIA_SECTIONS = 64

Kind = Literal["offer", "answer"]
Scope = dict[str, str]  # attributes of the session or of one section: port, mid, ufrag, pwd, setup, strong, weak

# Python's `str.splitlines`, which aiortc uses, ends lines here, unlike RFC 8866. So a line could hide in another.
_FORBIDDEN = re.compile("[\x80-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")

_VISIBLE = r"[ -~\x80-\U0010ffff]"  # no control character; said by what it takes, as the first range takes nearly all
_VALUE = rf"{_VISIBLE}{{0,{MAX_LINE}}}"
_TEXT = rf"{_VISIBLE}{{1,{MAX_LINE}}}"
_TOKEN = r"[0-9A-Za-z!#$%&'*+\-.^_`{|}~]{1,64}"
_WORD = rf"[!-~]{{1,{MAX_LINE}}}"
_NUMBER = r"[0-9]{1,20}"
_ADDRESS = rf"IN IP[46] {_WORD}"
_PROFILE = r"(?:(?:UDP/TLS|TCP/TLS|TCP/DTLS)/RTP/SAVPF?|(?:UDP/|TCP/)?DTLS/SCTP)"  # DTLS below, always
_HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}  # strong enough; bytes
_WEAK_HASHES = {"md2": 16, "md5": 16, "sha-1": 20, "sha-224": 28}  # tolerated beside a strong one


def _digests(hashes: dict[str, int]) -> str:
    """Pairs of hexadecimal digits with colons between. Written out, since that is twice as fast as a repetition."""
    return "|".join(f"(?i:{name}) {':'.join(['[0-9A-Fa-f][0-9A-Fa-f]'] * size)}" for name, size in hashes.items())


_ATTRIBUTES = {  # the attributes that are checked; their group names are the keys of a Scope, or say how they are checked
    "mid": rf":(?P<mid>{_TOKEN})",
    "group": rf":(?P<group>{_TOKEN}(?: {_TOKEN})*)",
    "ice-ufrag": r":(?P<ufrag>[0-9A-Za-z+/]{4,256})",
    "ice-pwd": r":(?P<pwd>[0-9A-Za-z+/]{22,256})",
    "fingerprint": rf":(?:(?P<strong>{_digests(_HASHES)})|(?P<weak>{_digests(_WEAK_HASHES)}))",
    "setup": r":(?P<setup>active|passive|actpass)",
    "candidate": rf":(?P<candidate>{_VALUE})",
}
_REFUSED_ATTRIBUTES = {"crypto": "a=crypto sends media keys in the clear; only DTLS is accepted (RFC 8827 section 6.5)"}
_KEPT = frozenset({"mid", "ufrag", "pwd", "setup", "strong", "weak"})
_REPEATABLE = frozenset({"strong", "weak"})
_REQUIRED = {
    "ufrag": "no a=ice-ufrag",
    "pwd": "no a=ice-pwd",
    "strong": "no a=fingerprint of sha-256, sha-384 or sha-512",
    "setup": "no a=setup",
}
_TRANSPORT = frozenset(_REQUIRED)
_PLACES = {  # what belongs to the session (True) or to sections, and the sentence where it stands in the other
    "candidate": (False, "a=candidate is only for media sections"),
    "group": (True, "a=group is only for the session (RFC 5888 section 5)"),
    "late": (False, "i=, c=, b= and k= of the session come before its attributes (RFC 8866 section 5)"),
}
_HEAD_RULES = (  # the rule that is broken, by how many of the lines before it are right
    "the description must begin with v=0",
    "o= with two numbers and an address must follow v=",
    "s= must follow o=",
    "t= must follow, after i=, u=, e=, p=, c= and b= in this order (RFC 8866 section 5)",
)


class _Grammar(NamedTuple):
    """The two patterns for one kind of line end. Both match any text; where they stop shows what is wrong."""

    head: re.Pattern[str]
    line: re.Pattern[str]


def _grammar(end: str) -> _Grammar:
    contact = rf"(?:i={_TEXT}{end})?(?:u={_TEXT}{end})?(?:e={_TEXT}{end})*(?:p={_TEXT}{end})*"
    bandwidth = rf"(?:b={_TOKEN}:{_NUMBER}{end})*"
    times = rf"(?:t={_NUMBER} {_NUMBER}{end}(?:r={_TEXT}{end})*)+()(?:z={_TEXT}{end})?(?:k={_TEXT}{end})?"
    session = rf"{contact}(?:c={_ADDRESS}{end})?{bandwidth}(?:{times})?"
    origin = rf"o={_WORD} {_NUMBER} {_NUMBER} {_ADDRESS}{end}()"
    head = rf"(?:v=0{end}()(?:{origin}(?:s={_TEXT}{end}(){session})?)?)?"

    names = "|".join([*_ATTRIBUTES, *_REFUSED_ATTRIBUTES])
    others = rf"(?:a=(?!(?:{names})[:\r\n]){_TOKEN}(?::{_VALUE}|){end})*"  # "|" is faster than "?"
    looked_at = "|".join(name + value for name, value in _ATTRIBUTES.items())
    media = rf"m={_TOKEN} (?P<port>0|[1-9][0-9]{{0,4}}) {_PROFILE}(?: {_TOKEN})+{end}"
    described = rf"(?:i={_TEXT}{end})?(?:c={_ADDRESS}{end})*{bandwidth}(?:k={_TEXT}{end})?"
    # RFC 8866 has these before a section's attributes. Media servers write them behind too, and browsers read that.
    late = rf"(?P<late>(?:i={_TEXT}|c={_ADDRESS}|b={_TOKEN}:{_NUMBER}|k={_TEXT}){end})"
    line = rf"{others}(?:a=(?:{looked_at}){end}|{media}{described}|{late})?"
    return _Grammar(re.compile(head, re.ASCII), re.compile(line, re.ASCII))


_CRLF, _LF = _grammar(r"\r\n"), _grammar(r"\n")


def check_sdp(
    sdp: str,
    kind: Kind,
    *,
    max_bytes: int = MAX_SDP_BYTES,
    max_lines: int = MAX_LINES,
    policy: CandidatePolicy = DEFAULT_POLICY,
) -> None:
    """Check a description. All its lines end with CRLF, or all with LF.

    Raises `Refused` with `too_large` or `invalid_sdp`.
    """
    _check_characters(sdp, max_bytes, max_lines)
    grammar = _CRLF if "\r" in sdp else _LF
    session: Scope = {}
    scope = session
    sections: list[tuple[int, Scope]] = []  # the index of each m= line in the text, and its attributes
    bundles: list[tuple[int, list[str]]] = []  # the index of each a=group line in the text, and its mids
    found = None
    for found in grammar.line.finditer(sdp, _check_head(sdp, grammar)):  # each match begins where the last ended
        name = found.lastgroup
        if name in _KEPT:
            if name in scope and name not in _REPEATABLE:
                raise _refused(sdp, found.start(name), "this attribute occurs twice in its section")
            scope[name] = found[name]
        elif name in _PLACES and (scope is session) is not _PLACES[name][0]:
            raise _refused(sdp, found.start(name), _PLACES[name][1])
        elif name == "candidate":
            if fault := candidate_fault(found[name], policy):
                raise _refused(sdp, found.start(name), f"the candidate {fault}")
        elif name == "port":
            scope = {name: found[name]}
            sections.append((found.start(name), scope))
        elif name == "group":
            semantics, *mids = found[name].split(" ")
            if semantics == "BUNDLE":
                bundles.append((found.start(name), mids))
        elif name != "late":
            break  # the end of the text, or a malformed line
    if found and found.end() != len(sdp):
        raise _refused(sdp, found.end(), _hidden(sdp, found.end()) or _malformed(sdp, found.end()))
    _check_sections(sdp, kind, session, sections)
    _check_transports(sdp, session, sections, bundles)


def _check_head(sdp: str, grammar: _Grammar) -> int:
    """The index in the text at which the lines after `t=` begin."""
    head = grammar.head.match(sdp)
    if head is None or head.lastindex != len(_HEAD_RULES):
        place, known = (head.end(), head.lastindex or 0) if head else (0, 0)
        raise _refused(sdp, place, _hidden(sdp, place) or _HEAD_RULES[known])
    return head.end()


def _check_sections(sdp: str, kind: Kind, session: Scope, sections: list[tuple[int, Scope]]) -> None:
    if len(sections) > MAX_MEDIA_SECTIONS:
        raise _refused(sdp, sections[MAX_MEDIA_SECTIONS][0], f"there are more than {MAX_MEDIA_SECTIONS} m= lines")
    if "mid" in session:
        raise _refused(sdp, 0, "the session has a=mid, which is only for media sections")
    for place, scope in sections:
        if int(scope["port"]) > 65535:
            raise _refused(sdp, place, "the port is above 65535")
    if kind == "answer":
        for place, scope in [(0, session), *sections]:
            if scope.get("setup") == "actpass":
                raise _refused(sdp, place, "a=setup of an answer must be active or passive (RFC 8842 section 5.3)")


def _check_transports(
    sdp: str, session: Scope, sections: list[tuple[int, Scope]], bundles: list[tuple[int, list[str]]]
) -> None:
    """Check that each section has ICE and DTLS attributes: its own, the session's, or those of its bundle's first."""
    known: dict[str, Scope] = {}  # by mid
    for place, scope in sections:
        if (mid := scope.get("mid")) is not None:
            if mid in known:
                raise _refused(sdp, place, "two media sections have the same a=mid")
            known[mid] = scope
    carriers: dict[str, Scope] = {}  # by mid, the section whose transport a bundled one uses: RFC 9143 section 7
    for place, mids in bundles:
        for mid in mids:
            if mid not in known:
                raise _refused(sdp, place, "a=group:BUNDLE names a mid that no media section has")
            if mid in carriers:
                raise _refused(sdp, place, "a=group:BUNDLE names a mid twice")
            carriers[mid] = known[mids[0]]
    for place, scope in sections:
        # Port 0 means a rejected section, or one that exists only when it is bundled.
        if not _TRANSPORT.issubset(scope) and scope["port"] != "0":
            carrier = carriers.get(scope.get("mid", ""), scope)
            if missing := _missing(scope, session, carrier):
                raise _refused(sdp, place, f"the media section has {missing}")


def _missing(scope: Scope, *others: Scope) -> str | None:
    for name, sentence in _REQUIRED.items():
        if name == "strong" and "weak" in scope and "strong" not in scope:
            return sentence  # a section's own fingerprints replace the session's: RFC 8122 section 5
        if not any(name in place for place in (scope, *others)):
            return sentence
    return None


def _check_characters(sdp: str, max_bytes: int, max_lines: int) -> None:
    if len(sdp) > max_bytes:
        raise Refused(Code.TOO_LARGE, f"a description is at most {max_bytes} bytes")
    if not sdp.isascii():
        if found := _FORBIDDEN.search(sdp):
            raise _refused(sdp, found.start(), "a control character, another line separator or half a surrogate pair")
        if len(sdp.encode()) > max_bytes:
            raise Refused(Code.TOO_LARGE, f"a description is at most {max_bytes} bytes")
    if len(sdp) > 4 * max_lines and sdp.count("\n") > max_lines:  # no line is shorter than "a=b" and its end
        raise Refused(Code.INVALID_SDP, f"the description has more than {max_lines} lines")


# The functions below run only to explain a refusal.


def _refused(sdp: str, place: int, sentence: str) -> Refused:
    line = sdp.count("\n", 0, place) + 1
    return Refused(Code.INVALID_SDP, f"line {line}: {sentence}", details={"line": line})


def _line_at(sdp: str, place: int) -> str:
    end = sdp.find("\n", place)
    return sdp[place:] if end < 0 else sdp[place : end + 1]


def _hidden(sdp: str, place: int) -> str | None:
    """A fault of the line at `place` that is not visible to a reader; None if there is none."""
    line = _line_at(sdp, place)
    if not line:
        return None
    text = line.removesuffix("\n").removesuffix("\r")
    if len(text) > MAX_LINE:
        return f"the line is longer than {MAX_LINE} characters"
    if _CONTROL.search(text):
        return "a control character, or a CR that is not part of a line end"
    if not line.endswith("\n"):
        return "the last line has no line end"
    if "\r" in sdp and not line.endswith("\r\n"):
        return "the line ends with LF though others end with CRLF"
    return None


def _malformed(sdp: str, place: int) -> str:
    """The rule that the line at `place` breaks."""
    kind, equals, value = _line_at(sdp, place).rstrip("\r\n").partition("=")
    if not equals or len(kind) != 1 or kind not in "vosiuepcbtrzkam":
        return "not one of the lines of RFC 8866 section 5"
    if kind == "m":
        return "m= needs a port, formats, and a profile of RTP or SCTP over DTLS (RFC 8827 section 6.5)"
    if kind != "a":
        return f"{kind}= is malformed, repeated or out of order (RFC 8866 section 5)"
    name = value.partition(":")[0]
    if name in _REFUSED_ATTRIBUTES:
        return _REFUSED_ATTRIBUTES[name]
    if name in _ATTRIBUTES:
        return f"a={name} is malformed, or has a value that is not allowed"
    return "the attribute's name or value is malformed"
