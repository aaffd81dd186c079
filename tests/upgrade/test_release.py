"""Which release is the one before, and what a clone that lacks it says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.version import __version__
from tests.support.processes import ROOT
from tests.upgrade.past import past_release
from tests.upgrade.release import NoHistory, version_before

CHANGELOG = (
    "# Changelog\n\n## [Unreleased]\n\n## [0.3.0] - 2026-11-27\n\n## [0.2.0] - 2026-11-21\n\n## [0.1.0] - 2026-11-20\n"
)


@pytest.mark.parametrize(
    ("current", "before"),
    [("0.4.0", "0.3.0"), ("0.3.0", "0.2.0"), ("0.2.0", "0.1.0")],
    ids=["being made", "just made", "looked back at"],
)
def test_the_changelog_gives_the_order(current: str, before: str) -> None:
    """The release before is the newest dated one that is not this one, whether this one is dated yet or not."""
    assert version_before(CHANGELOG, current) == before


def test_the_first_release_has_none_before() -> None:
    """That is said, not guessed."""
    with pytest.raises(NoHistory, match=r"no release before 0\.1\.0"):
        version_before(CHANGELOG, "0.1.0")


def test_its_commit_says_its_version(tmp_path: Path) -> None:
    """What is extracted is that release, and another one than this."""
    past = past_release()
    past.extract(tmp_path, "shared")
    assert f'"{past.version}"' in (tmp_path / "shared" / "version.py").read_text()
    assert past.version != __version__


@pytest.mark.parametrize(("ci", "status", "said"), [("", 0, "1 skipped"), ("true", 1, "in CI it must be")])
def test_a_clone_without_history(ci: str, status: int, said: str, tmp_path: Path) -> None:
    """It says that the upgrade was not run; in CI it fails."""
    past_release()
    clone = tmp_path / "clone"
    git = shutil.which("git")
    assert git is not None
    subprocess.run((git, "clone", "-q", "--depth", "1", f"file://{ROOT}", str(clone)), check=True, capture_output=True)  # noqa: S603
    command = (sys.executable, "-m", "pytest", "tests/faults/test_faults.py", "-k", "upgrade", "-q")
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(clone)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, said in done.stdout) == (status, True), done.stdout
    assert "does not reach back to release" in done.stdout
