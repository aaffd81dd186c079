"""The release before as files in a folder, and its tests run there: by its own pytest settings, as a process."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.processes import ROOT
from tests.upgrade.not_run import NOT_RUN, NOT_RUN_JAVASCRIPT
from tests.upgrade.release import PastRelease, accounts_beside

PLUGINS = ("stand_in", "left_out")  # beside this file; they see nothing else of today's tests
WRITTEN_ON_FAILURE = 20_000  # characters
_LIMITED = re.compile(r"(?<=^  AGENTLINK \{\n)(?:    (?:#|jetstream: ).*\n)+", re.MULTILINE)
_UNLIMITED = "    jetstream: enabled\n"


class OldTree:
    """Services, tests and SDKs of a past release. What a NATS server may be asked is today's: an upgrade begins there."""

    def __init__(self, past: PastRelease, folder: Path) -> None:
        self.version = past.version
        self.root = past.extract(folder, "services", "shared", "tests", "clients", "web", "docs", "pyproject.toml")
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        accounts = folder / "deploy/nats/accounts.conf"
        # 0.4.0's tests look for these lines, to add users of their own, and its server is told of no limit for the store.
        accounts.write_text(accounts_beside(_LIMITED.sub(_UNLIMITED, accounts.read_text())))

    def pytest(self, *paths: str) -> str:
        """Run these tests of it against today's services; what pytest says at the end. They must pass."""
        sources = (self.root / "clients/python/src", self.root, Path(__file__).parent)
        not_run = {start: why for start, why in NOT_RUN.items() if start.startswith(paths)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "PYTEST_"))}
        told = run(
            *(sys.executable, "-m", "pytest", "-q", *(f"-p{plugin}" for plugin in PLUGINS), *paths),
            cwd=self.root,
            environment={
                **inherited,
                "PARLEY_UPGRADE_TODAY": str(ROOT),
                "PARLEY_UPGRADE_NOT_RUN": json.dumps(not_run),
                "PARLEY_NATS_OPERATOR_PASSWORD": "nobodys",  # a user that 0.4.0 does not know, in today's accounts
                "PYTHONPATH": os.pathsep.join(map(str, sources)),
            },
        )
        summary = told.strip().rpartition("\n")[2]
        assert re.search(r"\d+ passed", summary), told
        return summary

    def vitest(self, **environment: str) -> None:
        """Run the tests of its JavaScript SDK. They must pass."""
        sdk = self.root / "clients/js"
        today = ROOT / "clients/js"
        if (today / "node_modules").is_dir() and _locked(sdk) == _locked(today):
            (sdk / "node_modules").symlink_to(today / "node_modules")
        else:
            run("npm", "ci", "--no-audit", "--no-fund", cwd=sdk, environment=os.environ)
        others = "^(?!" + "|".join(f".*{re.escape(name)}" for name in NOT_RUN_JAVASCRIPT) + ")"
        run("npx", "vitest", "run", "--testNamePattern", others, cwd=sdk, environment={**os.environ, **environment})

    def files(self, pattern: str) -> Iterable[str]:
        """The paths of its files that match."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))


def _locked(sdk: Path) -> dict[str, object]:
    """What is installed for an SDK, itself left out."""
    packages: dict[str, object] = json.loads((sdk / "package-lock.json").read_text())["packages"]
    return {name: package for name, package in packages.items() if name}


def run(*command: str, cwd: Path, environment: "os._Environ[str] | dict[str, str]") -> str:
    """What a command prints. It must succeed."""
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-WRITTEN_ON_FAILURE:]}"
    return done.stdout
