"""The check of sizes: what is longer than one noun is found, and nothing is excused without need."""

import ast
import shutil
from pathlib import Path

import pytest

from checks import size


def test_every_function_is_measured() -> None:
    """Methods and functions inside others count, each by its own name and with its decorators' lines left out."""
    source = "class A:\n    @cached\n    def b(self):\n        def c():\n            pass\n        return c\n"
    assert list(size.functions(ast.parse(source))) == [("A.b", 4), ("A.b.c", 2)]


def test_what_is_too_long_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of both languages over the limit, and functions of both; those at the limit pass."""
    monkeypatch.setattr(size, "ROOT", tmp_path)
    body = "    pass\n"
    (tmp_path / "short.py").write_text("def f():\n" + body * (size.FUNCTION_LINES - 1))
    (tmp_path / "long.py").write_text("def f():\n" + body * size.FUNCTION_LINES)
    (tmp_path / "file.py").write_text("x = 1\n" * (size.FILE_LINES + 1))
    assert size.too_long(["short.py", "long.py", "file.py"]) == {"long.py:f": 46, "file.py": 301}


@pytest.mark.skipif(shutil.which("node") is None or not size.PARSER.exists(), reason="TypeScript is not installed here")
def test_functions_of_javascript_are_measured() -> None:
    """Also those of classes, by TypeScript's parser."""
    found = {(name, function) for name, function, _ in size.all_functions(["clients/js/src/outgoing.js"])}
    assert found
    assert all(function for _, function in found)


def test_excuses_are_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A name on the list that is not too long fails the check as well."""
    monkeypatch.setattr(size, "too_long", lambda _names: {})
    assert size.main() == 1
    assert "need not be" in capsys.readouterr().err
