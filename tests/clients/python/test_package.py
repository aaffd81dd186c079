"""The package as it would be published."""

import email
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import websockets
from parley.version import __version__

from tests.support.processes import ROOT

PACKAGE = ROOT / "clients/python"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by hatchling, in a folder of its own."""
    out = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out), cwd=PACKAGE)
    (built,) = out.glob("*.whl")
    return built


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_what_it_should(wheel: Path) -> None:
    """Code, types marker, licence, the version that the package says, and websockets as the only requirement."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata_name,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(metadata_name))
    assert {"parley/__init__.py", "parley/py.typed", "parley/rtc/call.py", "parley/cli/__init__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"parley", metadata_name.split("/")[0]}
    assert metadata["Version"] == __version__
    needed = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert [one.split("<")[0].split(">")[0] for one in needed] == ["websockets"]


def test_the_wheel_installs_and_imports(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment that has nothing else but websockets the package imports, from there."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv/bin/python")
    _run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel), cwd=tmp_path)
    (tmp_path / "only").mkdir()
    (tmp_path / "only/websockets").symlink_to(Path(websockets.__file__).parent)
    program = "import sys; sys.path.append('only'); import parley; print(parley.__version__, parley.__file__)"
    version, where = _run(python, "-I", "-c", program, cwd=tmp_path).split()
    assert version == __version__
    assert Path(where).is_relative_to(tmp_path / "venv")
    assert (Path(where).parent / "py.typed").exists()
