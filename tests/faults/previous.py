"""The release before this one, taken out of the repository, so that it can be run and upgraded."""

import json
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

from tests.faults.fleet import SETTINGS, Release
from tests.support.processes import ROOT

VERSION = "0.1.0"
COMMIT = "70adb0a22da66f7a10d10124a9676982418252ad"  # its last commit; a clone without history lacks it


class NoHistory(Exception):  # noqa: N818 - why something is not run
    """The repository is not there or does not reach back that far."""


def previous(folder: Path) -> Release:
    """Its code, in this folder. Raises NoHistory."""
    command = ("git", "-C", str(ROOT), "archive", COMMIT, "services", "shared", "deploy")
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    if done.returncode != 0:
        raise NoHistory(f"this clone does not have the commit {COMMIT[:7]} of release {VERSION}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return Release(folder, _known(folder))


def _known(folder: Path) -> dict[str, set[str]]:
    """The settings each service of that code understands; others would keep it from starting."""
    known = {}
    for name, settings in SETTINGS.items():
        words = f"import json; from {settings.__module__} import {settings.__name__} as s; print(json.dumps([*s.environment_names()]))"
        told = subprocess.run((sys.executable, "-c", words), cwd=folder, capture_output=True, check=True)  # noqa: S603
        known[name] = set(json.loads(told.stdout))
    return known
