"""The mutants that no test kills, each with the reason. `make mutate` fails for any that is not here, and for any that is
here and is killed. Two kinds are left out by themselves: the wording of sentences for people, and functions that run when
their module is imported: mutmut switches a mutant on after that, so it can kill none of theirs.
"""

Mutant = tuple[str, str, str]  # function as mutmut names it, the lines that went, the lines that came

AT_IMPORT = frozenset({"x__as_far_as_possible", "x__digests", "x__grammar"})  # they build patterns, which tests try


def _in(function: str, line: str, reason: str, *edits: tuple[str, str]) -> dict[Mutant, str]:
    """The mutants of a line, for one reason: what stands there, and what instead."""
    return {(function, line, line.replace(old, new, 1)): reason for old, new in edits}


_SHORT_CUT = "a short cut for what nearly every candidate has; the longer way says the same"
_ALWAYS_MATCHES = "all of the pattern is optional: it always matches"
_FIRST_LINE = "both are on the first line, which is not empty: the description begins with v=0"
_NO_MID = "a section without a mid is in no bundle: no mid is empty, and nobody calls one XXXX"

SURVIVORS: dict[Mutant, str] = {
    **_in(
        "x_update",
        'patch = command.model_dump(include={"name", "type", "max_participants", "access"}, exclude_none=True)',
        "what is no property of a room neither makes two rooms differ nor is written",
        ('include={"name", "type", "max_participants", "access"}', "include=None"),
        ('include={"name", "type", "max_participants", "access"}, ', ""),
    ),
    **_in(
        "x_resume",
        "access.check_return(command.caller, roster.room, seat.participant)",
        "whether somebody may come back does not depend on the room yet; the argument is for those rules that will",
        ("roster.room", "None"),
    ),
    **_in(
        "x__metadata",
        "if json_bytes(merged) > max(rules.metadata_bytes, 2):",
        "no object is three bytes as JSON",
        ("2", "3"),
    ),
    **_in("x_candidate_fault", 'if component != "1" and int(component) > 256:', _SHORT_CUT, ('"1"', '"XX1XX"')),
    **_in(
        "x_candidate_fault",
        'if (transport == "udp" or transport.lower() == "udp") and number == 0:',
        _SHORT_CUT,
        ('"udp" or', '"XXudpXX" or'),
        ('"udp" or', '"UDP" or'),
    ),
    **_in(
        "x_candidate_fault",
        'return None if transport == "udp" else _tcp_fault(transport, number, tcptype)',
        _SHORT_CUT,
        ('transport == "udp"', '(transport == "udp") and False'),
        ('"udp"', '"XXudpXX"'),
        ('"udp"', '"UDP"'),
    ),
    **_in(
        "x__address_fault",
        'if _HARMLESS_V6.fullmatch(address) and (colons == 7 or (colons < 7 and "::" in address)):',
        "an address that is not known to be harmless is parsed",
        ("7 or (", "7 and ("),
        ("colons < 7", "colons <= 7"),
        ("colons < 7", "colons < 8"),
        ('"::"', '"XX::XX"'),
    ),
    **_in("x_check_sdp", "found = None", "all of the pattern is optional: something is always found", ("None", '""')),
    **_in(
        "x_check_sdp",
        'semantics, *mids = found[name].split(" ")',
        "the pattern lets single spaces through and no others",
        ('" "', "None"),
    ),
    **_in(
        "x__check_head",
        "place, known = (head.end(), head.lastindex or 0) if head else (0, 0)",
        _ALWAYS_MATCHES,
        ("if head", "if (head) or True"),
        ("(0, 0)", "(1, 0)"),
        ("(0, 0)", "(0, 1)"),
    ),
    **_in(
        "x__check_sections",
        'raise _refused(sdp, 0, "the session has a=mid, which is only for media sections")',
        _FIRST_LINE,
        ("0", "1"),
    ),
    **_in("x__check_sections", "for place, scope in [(0, session), *sections]:", _FIRST_LINE, ("0", "1")),
    **_in(
        "x__check_transports",
        'carrier = carriers.get(scope.get("mid", ""), scope)',
        _NO_MID,
        ('""', "None"),
        ('""', ""),
        ('""', '"XXXX"'),
    ),
    **_in(
        "x__check_characters",
        'if len(sdp) > 4 * MAX_LINES and sdp.count("\\n") > MAX_LINES:  # no line is shorter than "a=b" and its end',
        "a short cut: what has so many lines and is shorter has one that is malformed",
        ("> 4", ">= 4"),
        ("4 *", "4 /"),
    ),
    **_in("x__refused", 'line = sdp.count("\\n", 0, place) + 1', "both are the beginning", ("0", "None")),
}
