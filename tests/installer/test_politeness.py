"""mimctl is a guest: installing it changes no package that was there, and it works with the oldest that it accepts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from toy_toolbox import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FLOORS = [Requirement(text) for text in PROJECT["dependencies"]]
OLDER_HABITS = {"filelock": "3.0", "setuptools": "60.2.0", "wheel": "0.37", "tqdm": "4.65", "pytz": "2023.3"}
"""What lies about in environments, in versions that other tools have forced on them."""


def oldest(requirement: Requirement) -> str:
    """Return the lowest version that a requirement accepts; it has no other bound."""
    (only,) = requirement.specifier
    assert only.operator == ">=", f"{requirement}: no upper bounds, they break other people's environments"
    return only.version


def pythons() -> list[Path]:
    """Return an interpreter of each version from 3.11 on that lies where they usually do."""
    found = {}
    for minor in range(11, 20):
        places = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
        working = next((each for each in places if each and works(each, minor)), None)
        if working:
            found[minor] = Path(working)
    return list(found.values())


def works(python: str | Path, minor: int) -> bool:
    asked = subprocess.run([python, "-c", "import sys; print(sys.version_info.minor)"], capture_output=True, text=True)
    return asked.stdout.strip() == str(minor)


@pytest.fixture(scope="module")
def own_wheel(tmp_path_factory) -> Path:
    """Build mimctl's own wheel."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("own")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "-w", out, ROOT], check=True)
    return next(out.glob("mimctl-*.whl"))


def freeze(python: Path) -> list[str]:
    listed = subprocess.run([python, "-m", "pip", "freeze", "--all"], check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def unchanged_by_mimctl(make, own_wheel: Path, wheel_writer, folder: Path) -> None:
    """Install mimctl into an environment of old packages, with pip and with uv, and compare what pip names."""
    there = {each.name: oldest(each) for each in FLOORS} | OLDER_HABITS
    shelf = folder / "shelf"
    wheels = [wheel_writer(folder / "there", name, version, {f"{name}.py": ""}) for name, version in there.items()]
    for name in there:  # newer ones are for the taking
        wheel_writer(shelf, name, "99.0", {f"{name}.py": "newer = True\n"})
    for number, installer in enumerate(["pip", "uv"]):
        place = folder / f"venv{number}"
        make(place)
        inside = place / "bin" / "python"
        offline = ["--no-index", "--find-links", shelf]
        subprocess.run([inside, "-m", "pip", "install", "-q", "--no-deps", "--no-index", *wheels], check=True)
        before = freeze(inside)
        uv = shutil.which("uv") or Path(sys.executable).parent / "uv"
        call = [inside, "-m", "pip", "install"] if installer == "pip" else [uv, "pip", "install", "--python", inside]
        subprocess.run([*call, "-q", *offline, own_wheel], check=True)
        after = freeze(inside)
        assert [line for line in after if not line.startswith("mimctl")] == before
        assert len(after) == len(before) + 1


def test_installing_mimctl_changes_no_package_that_was_there(own_wheel, wheel_writer, template, tmp_path):
    unchanged_by_mimctl(
        lambda place: shutil.copytree(template, place, symlinks=True), own_wheel, wheel_writer, tmp_path
    )


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons(), ids=str)
def test_no_python_makes_a_difference(python, own_wheel, wheel_writer, tmp_path):
    def make(place: Path) -> None:
        subprocess.run([python, "-m", "venv", place], check=True)

    unchanged_by_mimctl(make, own_wheel, wheel_writer, tmp_path)


def test_nothing_of_setuptools_or_pip_is_imported():
    for path in (ROOT / "mimctl").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in ("pip", "setuptools", "pkg_resources", "distutils"):
            assert f"\nimport {name}\n" not in text
            assert f"\nfrom {name}" not in text


@pytest.fixture(scope="module")
def floors() -> Path:
    """Return a folder of real wheels: the oldest that mimctl accepts (`make floors`)."""
    named = os.environ.get("MIMCTL_TEST_FLOORS")
    if not named:
        pytest.skip("no folder of the oldest wheels; `make floors`, then set MIMCTL_TEST_FLOORS")
    return Path(named)


@pytest.mark.slow
def test_the_command_line_works_with_the_oldest_packages(floors, own_wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pins = [f"{each.name}=={oldest(each)}" for each in FLOORS]
    install = [python, "-m", "pip", "install", "-q", "--no-index", "--find-links", floors]
    subprocess.run([*install, *pins, own_wheel], check=True)
    tests = ["usage", "list", "settings", "explain", "consent", "doctor", "install", "terminal", "upgrade"]
    files = [f"tests/cli/test_{name}.py" for name in tests]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env={**os.environ, "MIMCTL_TEST_PYTHON": str(python)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
def test_it_works_from_a_tool_environment_on_another_interpreter(floors, own_wheel, tmp_path):
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    own = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    install = [uv, "tool", "install", "-q", "--no-index", "--find-links", floors, "--python", sys.executable, own_wheel]
    subprocess.run(install, env={**kept, **own}, check=True)
    other = tmp_path / "other"
    venv.create(other, with_pip=False)
    here = tmp_path / "here"
    here.mkdir()

    def mimctl(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        line = [tmp_path / "bin" / "mimctl", *words]
        environ = {**kept, "MIMCTL_HOME": str(tmp_path / "home"), **variables}
        return subprocess.run(line, cwd=here, env=environ, capture_output=True, text=True)

    refused = mimctl("list")
    assert (refused.returncode, "error[no-target]" in refused.stderr) == (1, True)
    assert "a tool environment of uv" in refused.stderr
    for words, variables in ((["--python", other], {}), ([], {"VIRTUAL_ENV": str(other)})):
        said = mimctl("list", "--json", *words, **variables)
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout)["target"]["python"] == str(other / "bin" / "python")
    assert mimctl("env", "--python", other).returncode == 0
    assert mimctl("doctor", "--offline", "--python", other).returncode == 0
