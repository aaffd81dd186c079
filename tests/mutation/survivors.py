"""The mutants that no test kills, each with the reason. `make mutate` fails for any that is not here, and for any that is
here and is killed. Two kinds are left out by themselves: the wording of sentences for people, and functions that run when
their module is imported: mutmut switches a mutant on after that, so it can kill none of theirs.
"""

Mutant = tuple[str, str, str]  # function as mutmut names it, the lines that went, the lines that came

AT_IMPORT = frozenset({"x__as_far_as_possible", "x__digests", "x__grammar"})  # they build patterns, which tests try

_PATCH = 'patch = command.model_dump(include={"name", "type", "max_participants", "access"}, exclude_none=True)'

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
}
