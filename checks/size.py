"""Whether every file and every function has one noun's size: `python -m checks.size`, part of `make check`.

A file may have 300 lines, a function 45, its docstring included. What is longer is named in `checks/size.toml`, with the
reason; a name there that is no longer needed fails too, so that the list stays short and true.
"""

import ast
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).with_suffix(".toml")
READER = "clients/js/functions.js"
PARSER = ROOT / "clients" / "js" / "node_modules" / "typescript"  # what it reads with
FILE_LINES = 300
FUNCTION_LINES = 45
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[str]:
    """The Python and JavaScript files of the project, as paths from its root."""
    known = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.py", "*.js", "*.mjs")
    listed = subprocess.run(known, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    return sorted(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def too_long(names: list[str]) -> dict[str, int]:
    """What is longer than it may be, with its lines: `path`, or `path:Class.function`."""
    found: dict[str, int] = {}
    for name in names:
        lines = len((ROOT / name).read_text().splitlines())
        if lines > FILE_LINES:
            found[name] = lines
    for name, function, lines in all_functions(names):
        if lines > FUNCTION_LINES:
            found[f"{name}:{function}"] = lines
    return found


def all_functions(names: list[str]) -> Iterator[tuple[str, str, int]]:
    """Path, name and lines of every function. JavaScript's are left out, with a word, where nothing can read them."""
    for name in names:
        if name.endswith(".py"):
            for function, lines in functions(ast.parse((ROOT / name).read_text())):
                yield name, function, lines
    node, scripts = shutil.which("node"), [name for name in names if name.endswith((".js", ".mjs"))]
    if not scripts:
        return
    if node is None or not PARSER.exists():
        sys.stderr.write(
            "size: JavaScript's functions were not measured: Node.js or TypeScript is not installed here\n"
        )
        return
    asked = subprocess.run((node, READER, *scripts), cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    for name, found in json.loads(asked.stdout).items():
        for function, lines in found:
            yield name, function, lines


def functions(node: ast.AST, within: str = "") -> Iterator[tuple[str, int]]:
    """Every function below a node, with its lines; a function inside another counts for both."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = f"{within}{child.name}"
            if isinstance(child, Function):
                yield name, (child.end_lineno or child.lineno) - child.lineno + 1
            yield from functions(child, f"{name}.")
        else:
            yield from functions(child, within)


def main() -> int:
    """Exit status 1 and a line for each that is too long, or needlessly excused."""
    excused: dict[str, str] = tomllib.loads(LIST.read_text())["longer"]
    found = too_long(sources())
    complaints = [f"{name} has {lines} lines" for name, lines in found.items() if name not in excused]
    complaints += [f"{name} is excused in {LIST.name} and need not be" for name in excused if name not in found]
    complaints += [f"{name} is excused in {LIST.name} without a reason" for name, why in excused.items() if not why]
    for complaint in complaints:
        sys.stderr.write(f"size: {complaint}\n")
    if complaints:
        sys.stderr.write(
            f"size: a file may have {FILE_LINES} lines and a function {FUNCTION_LINES}: which noun wants out? "
            f"What has to be longer is named in checks/{LIST.name}, with the reason.\n"
        )
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
