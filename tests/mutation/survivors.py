"""The mutants that no test kills, each with the reason. `make mutate` fails for any that is not here, and for any that is
here and is killed. Two kinds are left out by themselves: the wording of sentences for people, and functions that run when
their module is imported: mutmut switches a mutant on after that, so it can kill none of theirs.
"""

Mutant = tuple[str, str, str]  # function as mutmut names it, the lines that went, the lines that came

AT_IMPORT = frozenset({"x__as_far_as_possible", "x__digests", "x__grammar"})  # they build patterns, which tests try

_PATCH = 'patch = command.model_dump(include={"name", "type", "max_participants", "access"}, exclude_none=True)'
_COMPONENT = 'if component != "1" and int(component) > 256:'
_UDP = 'if (transport == "udp" or transport.lower() == "udp") and number == 0:'
_TCP = 'return None if transport == "udp" else _tcp_fault(transport, number, tcptype)'
_COLONS = 'if _HARMLESS_V6.fullmatch(address) and (colons == 7 or (colons < 7 and "::" in address)):'

SURVIVORS: dict[Mutant, str] = {
    (
        "x_update",
        _PATCH,
        "patch = command.model_dump(include=None, exclude_none=True)",
    ): "what is no property of a room neither makes two rooms differ nor is written",
    ("x_update", _PATCH, "patch = command.model_dump(exclude_none=True)"): "as above",
    (
        "x_resume",
        "access.check_return(command.caller, roster.room, seat.participant)",
        "access.check_return(command.caller, None, seat.participant)",
    ): "whether somebody may come back does not depend on the room yet; the argument is for those rules that will",
    (
        "x__metadata",
        "if json_bytes(merged) > max(rules.metadata_bytes, 2):",
        "if json_bytes(merged) > max(rules.metadata_bytes, 3):",
    ): "no object is three bytes as JSON",
    **{
        (
            "x_candidate_fault",
            went,
            came,
        ): "a short cut for what nearly every candidate has; the longer way says the same"
        for went, came in (
            (_COMPONENT, _COMPONENT.replace('"1"', '"XX1XX"')),
            (_UDP, _UDP.replace('"udp" or', '"XXudpXX" or')),
            (_UDP, _UDP.replace('"udp" or', '"UDP" or')),
            (_TCP, _TCP.replace('transport == "udp"', '(transport == "udp") and False')),
            (_TCP, _TCP.replace('"udp"', '"XXudpXX"')),
            (_TCP, _TCP.replace('"udp"', '"UDP"')),
        )
    },
    **{
        ("x__address_fault", _COLONS, _COLONS.replace(*edit)): "an address that is not known to be harmless is parsed"
        for edit in (
            ("7 or (", "7 and ("),
            ("colons < 7", "colons <= 7"),
            ("colons < 7", "colons < 8"),
            ('"::"', '"XX::XX"'),
        )
    },
}
