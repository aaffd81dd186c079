"""The release before this one: which it is, its commit, and its files, from the repository's own history."""

import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from shared.version import __version__
from tests.support.processes import ROOT

VERSION_FILE = "shared/version.py"
_RELEASED = re.compile(r"^## \[(\d[^\]]*)\] - \d{4}-\d{2}-\d{2}", re.MULTILINE)  # newest first
_ADDED = re.compile(r"^( *)#\d+\.\d+\.\d+# ", re.MULTILINE)
_SAID = re.compile(r'^__version__ = "(.+)"', re.MULTILINE)


class NoHistory(Exception):  # noqa: N818 - why something is not run
    """The repository is not there or does not reach back that far. The message is a sentence."""


@dataclass(frozen=True)
class PastRelease:
    """A version and its last commit."""

    version: str
    commit: str

    def extract(self, folder: Path, *paths: str) -> Path:
        """Write these files and folders of it below `folder`, compiled; the folder."""
        archive = _git("archive", self.commit, *paths)
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        # Several processes start from it, and where PYTHONDONTWRITEBYTECODE is set each would compile it anew.
        subprocess.run((sys.executable, "-m", "compileall", "-q", "-q", str(folder)), check=False)  # noqa: S603
        return folder


def accounts_beside(accounts: str) -> str:
    """deploy/nats/accounts.conf for the time of an upgrade: with the lines that the release before needs besides."""
    assert _ADDED.search(accounts), "nothing in accounts.conf is for the release before"
    return _ADDED.sub(r"\1", accounts)


def required() -> bool:
    """Whether a clone that lacks the release before fails, as in CI, instead of saying that something was not run."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def release_before(changelog: str | None = None, current: str = __version__) -> PastRelease:
    """The release before this one. Raises NoHistory."""
    text = (ROOT / "CHANGELOG.md").read_text() if changelog is None else changelog
    version = version_before(text, current)
    commit = _called(version) or _last_that_said(version)
    if commit is None:
        raise NoHistory(f"this clone does not reach back to release {version} (git fetch --unshallow)")
    return PastRelease(version, commit)


def version_before(changelog: str, current: str) -> str:
    """The newest dated version of the changelog that is not the current one. Raises NoHistory if there is none."""
    released = _RELEASED.findall(changelog)
    before = released[released.index(current) + 1 :] if current in released else released
    if not before:
        raise NoHistory(f"CHANGELOG.md dates no release before {current}")
    return str(before[0])


def _called(version: str) -> str | None:
    """The commit that made the release: its subject is the version, and it says so."""
    log = _git("log", "--format=%H %s").decode()
    commits = [line.partition(" ")[0] for line in log.splitlines() if line.partition(" ")[2] == version]
    return next((commit for commit in commits if _said(commit) == version), None)


def _last_that_said(version: str) -> str | None:
    """The last commit before the version was changed."""
    changes = _git("log", "--format=%H", "--", VERSION_FILE).decode().split()
    return next((commit for commit in ("HEAD", *(f"{one}^" for one in changes)) if _said(commit) == version), None)


def _said(commit: str) -> str | None:
    """The version at a commit; None where there is no such commit or file."""
    try:
        found = _SAID.search(_git("show", f"{commit}:{VERSION_FILE}").decode())
    except NoHistory:
        return None
    return found[1] if found else None


def _git(*arguments: str) -> bytes:
    try:
        command = ("git", "-C", str(ROOT), *arguments)
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    if done.returncode != 0:
        raise NoHistory(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
