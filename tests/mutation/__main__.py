"""`make mutate`, after mutmut: counts, and the mutants that no test killed and no reason excuses; exit status 1 with any.

A mutant is named by its function and by the lines in which it differs: mutmut's numbers change with every edit.
"""

import sys
from collections import Counter

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

from tests.mutation.survivors import AT_IMPORT, SURVIVORS, Mutant
from tests.mutation.wording import is_wording

ALIVE = ("survived", "no tests", "suspicious")


def changed(diff: str) -> tuple[str, str]:
    """The lines of a unified diff that went, and those that came, without their indentation."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    went = [line[1:].strip() for line in lines if line.startswith("-")]
    came = [line[1:].strip() for line in lines if line.startswith("+")]
    return " ".join(went), " ".join(came)


def _kind(mutant: Mutant) -> str:
    function, went, came = mutant
    if function in AT_IMPORT:
        return "at import"
    return "wording" if is_wording(went, came) else "listed" if mutant in SURVIVORS else "NOT KILLED"


def main() -> None:
    """Tell, and judge."""
    counts: Counter[str] = Counter()
    by_file: dict[str, Counter[str]] = {}
    excused: set[Mutant] = set()
    unexcused: list[str] = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for key, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            kind = "killed"
            if status in ALIVE:
                went, came = changed(get_diff_for_mutant(key, path=path))
                mutant = (key.partition("__mutmut_")[0].rpartition(".")[2], went, came)
                kind = _kind(mutant)
                excused.add(mutant)
                if kind == "NOT KILLED":
                    unexcused.append(f"{path} {mutant[0]}\n  - {went}\n  + {came}")
            elif status == "not checked":
                kind = status
            counts[kind] += 1
            by_file.setdefault(str(path), Counter())[kind] += 1
    for path_name, some in sorted(by_file.items()):
        print(f"{path_name}: {sum(some.values())} mutants: " + ", ".join(f"{n} {kind}" for kind, n in some.items()))  # noqa: T201
    print(f"together: {sum(counts.values())} mutants: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))  # noqa: T201
    stale = [mutant for mutant in SURVIVORS if mutant not in excused] if not counts["not checked"] else []
    for one in unexcused:
        print(f"\nno test fails with this change: {one}")  # noqa: T201
    for function, went, came in stale:
        print(f"\nsurvivors.py lists what does not survive: {function}\n  - {went}\n  + {came}")  # noqa: T201
    if unexcused or stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
