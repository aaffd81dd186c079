"""The release before this one, taken out of the repository, so that it can be run and upgraded."""

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.fleet import SETTINGS, Release
from tests.upgrade.release import PastRelease


def previous(past: PastRelease, folder: Path) -> Release:
    """Its code, in this folder. Raises NoHistory."""
    past.extract(folder, "services", "shared", "deploy")
    return Release(folder, {name: _known(name, folder) for name in SETTINGS})


def _known(service: str, folder: Path) -> set[str]:
    """The settings that code understands; others would keep it from starting."""
    words = (
        f"import json; from services.{service}.settings import {service.capitalize()}Settings as settings; "
        "print(json.dumps([*settings.environment_names()]))"
    )
    told = subprocess.run((sys.executable, "-c", words), cwd=folder, capture_output=True, check=True)  # noqa: S603
    return set(json.loads(told.stdout))
