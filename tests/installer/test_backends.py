"""What pip and uv place, build and remove at our word, whatever a person has configured; the same files by both.

The versions that are installed here always; the oldest that are supported, the newest, and other Pythons in the slow
tests.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_projects import BUILD_BACKEND, write_project

from mimctl.environment.detect import detect
from mimctl.environment.distributions import archive_sha256, is_from_source
from mimctl.errors import IntegrityError, MimctlError
from mimctl.installer.backends.backend import (
    OLDEST_PIP,
    OLDEST_UV,
    Backend,
    Choice,
    choose_backend,
)
from mimctl.installer.backends.pip_backend import PipBackend
from mimctl.installer.backends.staged import Staged
from mimctl.installer.backends.uv_backend import UvBackend

OWN_OF_PIP = {"INSTALLER", "RECORD", "direct_url.json"}
"""Files of a `.dist-info` that differ between installers; each is looked at by a test of its own."""
ONLY_UV = {"uv_cache.json", ".lock"}
"""What uv alone writes: when its cache saw a wheel, and its lock beside the environment."""
NASTY = "a folder, with ünïcode 'quotes' & (brackets) $HOME"
HARMFUL = {
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere/target",
    "PIP_PREFIX": "/nowhere/prefix",
    "PIP_ROOT": "/nowhere/root",
    "PIP_DRY_RUN": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_FIND_LINKS": "/nowhere/links",
    "PIP_PROXY": "http://127.0.0.1:9",
    "PIP_CONSTRAINT": "/nowhere/constraints.txt",
    "PIP_REQUIREMENT": "/nowhere/requirements.txt",
    "PIP_IGNORE_INSTALLED": "1",
    "PIP_PLATFORM": "win_amd64",
    "PIP_PYTHON": "/nowhere/python",
    "PIP_USE_FEATURE": "no-such-feature",
    "PIP_LOG": "/nowhere/log",
    "UV_INDEX_URL": "http://127.0.0.1:9/simple",
    "UV_INDEX": "http://127.0.0.1:9/simple",
    "UV_FIND_LINKS": "/nowhere/links",
    "UV_CONSTRAINT": "/nowhere/constraints.txt",
    "UV_OVERRIDE": "/nowhere/overrides.txt",
    "UV_EXCLUDE_NEWER": "2001-01-01",
    "UV_NO_BINARY": "1",
    "UV_NO_BINARY_PACKAGE": "numpy",
    "UV_PYTHON": "/nowhere/python",
    "UV_SYSTEM_PYTHON": "1",
    "UV_CONFIG_FILE": "/nowhere/uv.toml",
    "UV_PRERELEASE": "nonsense",
    "UV_RESOLUTION": "nonsense",
    "UV_TORCH_BACKEND": "nonsense",
    "UV_OFFLINE": "nonsense",
    "UV_INDEX_STRATEGY": "nonsense",
    "UV_PREVIEW": "nonsense",
    "PYTHONWARNINGS": "error",
}
"""Variables of which each one alone ends or bends an installation by hand."""


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("pip oldest", "pip newest", "uv oldest", "uv newest")]


QUICK = pytest.mark.parametrize("backend", ["uv", pytest.param("pip", marks=pytest.mark.slow), *SLOW], indirect=True)
"""Of what differs little between the two, pip's half is left to the slow tests: it takes a second to start."""


@pytest.fixture(params=["pip", "uv", *SLOW])
def backend(
    request: pytest.FixtureRequest, venv: Path, fetched: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Backend:
    """Return pip or uv in one version, for a fresh environment, with nobody's configuration."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", str(venv.parent / "uv-cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    name, _, which = request.param.partition(" ")
    found = choose_backend(detect(venv), name)
    if not which:
        return found
    oldest = {"pip": OLDEST_PIP, "uv": OLDEST_UV}[name]
    unpacked = fetched(f"{name}=={oldest}" if which == "oldest" else name)
    if isinstance(found, UvBackend):
        binary = next(unpacked.glob("*.data/scripts/uv"))
        binary.chmod(0o755)
        return replace(found, uv=binary)
    return replace(found, environ={**found.environ, "PYTHONPATH": str(unpacked)})


@pytest.fixture
def stage(wheel_writer: Callable[..., Path], tmp_path: Path) -> Callable[..., Staged]:
    """Return what writes a wheel into a cache whose path is not easy."""

    def make(name: str, version: str, *, is_named: bool = True, text: str = "", **more: object) -> Staged:
        files = {f"{name.replace('-', '_')}.py": f"VERSION = '{version}'\n{text}"}
        written = wheel_writer(tmp_path / "written", name, version, files, **more)
        sha256 = hashlib.sha256(written.read_bytes()).hexdigest()
        path = tmp_path / NASTY / sha256 / written.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(written, path)
        return Staged(name=name, version=version, path=path, sha256=sha256, is_named=is_named)

    return make


def freeze(backend: Backend) -> list[str]:
    """Return what `pip freeze` says of the target, by the pip of the tests."""
    argv = [sys.executable, "-m", "pip", "--python", str(backend.python), "freeze", "--all"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if not line.startswith(("pip=", "setuptools="))]


def files_of(venv: Path) -> dict[str, bytes]:
    """Return the installed files of an environment, without the tools that it was made with and compiled ones."""
    packages = next(venv.glob("lib/python*/site-packages"))
    places = [path for path in (*packages.rglob("*"), *(venv / "bin").glob("*")) if path.is_file()]
    tools = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils-precedence")
    return {
        str(path.relative_to(venv)): path.read_bytes()
        for path in places
        if path.suffix != ".pyc" and not path.is_symlink()
        if path.parent != packages or not path.name.startswith(tools)
        if not path.is_relative_to(packages) or not path.relative_to(packages).parts[0].startswith(tools)
    }


def test_wheels_are_placed_by_name_and_by_place(backend: Backend, stage: Callable[..., Staged]) -> None:
    numpy, torch = stage("numpy", "2.1.0"), stage("torch", "2.13.0+cpu")
    ops = stage("mimctl-ops", "0.1.0+cu13", is_named=False)
    backend.install([numpy, torch, ops])
    lines = freeze(backend)
    assert {"numpy==2.1.0", "torch==2.13.0+cpu"} < set(lines)
    assert len(lines) == 3
    there = detect(backend.python).distributions
    assert archive_sha256(there["mimctl-ops"]) == ops.sha256
    assert archive_sha256(there["numpy"]) is None
    assert not is_from_source(there["mimctl-ops"])


def test_what_is_there_is_replaced_by_another_version_and_by_another_build(
    backend: Backend, stage: Callable[..., Staged]
) -> None:
    backend.install([stage("numpy", "2.1.0"), stage("mimctl-ops", "0.1.0", is_named=False), stage("kept", "1.0")])
    kept = detect(backend.python).distributions["kept"].path / "RECORD"
    before = kept.stat().st_mtime_ns
    backend.install([stage("numpy", "2.0.0"), stage("mimctl-ops", "0.1.0", is_named=False, text="BUILD = 2\n")])
    backend.install([stage("numpy", "2.0.0", text="BUILD = 2\n")])
    packages = detect(backend.python).paths.purelib
    assert (packages / "numpy.py").read_text(encoding="utf-8") == "VERSION = '2.0.0'\nBUILD = 2\n"
    assert (packages / "mimctl_ops.py").read_text(encoding="utf-8") == "VERSION = '0.1.0'\nBUILD = 2\n"
    assert len(list(packages.glob("numpy-*"))) == 1
    assert kept.stat().st_mtime_ns == before


@QUICK
def test_a_label_is_told_from_the_version_without_it(backend: Backend, stage: Callable[..., Staged]) -> None:
    backend.install([stage("torch", "2.13.0+cpu")])
    backend.install([stage("torch", "2.13.0")])
    assert freeze(backend) == ["torch==2.13.0"]
    backend.install([stage("torch", "2.13.0+cu130")])
    assert freeze(backend) == ["torch==2.13.0+cu130"]


@QUICK
def test_a_prerelease_is_placed_like_any_version(backend: Backend, stage: Callable[..., Staged]) -> None:
    backend.install([stage("numpy", "2.2.0rc1"), stage("later", "1.0.dev3")])
    assert freeze(backend) == ["later==1.0.dev3", "numpy==2.2.0rc1"]


@QUICK
def test_what_a_wheel_requires_is_not_looked_for(backend: Backend, stage: Callable[..., Staged]) -> None:
    backend.install([stage("needy", "1.0", requires=["absent>=7"])])
    assert freeze(backend) == ["needy==1.0"]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_file_that_has_changed_since_is_refused(
    backend: Backend, stage: Callable[..., Staged], is_named: bool
) -> None:
    wheel = stage("numpy", "2.1.0", is_named=is_named)
    other = stage("numpy", "2.1.0", text="evil = True\n")
    shutil.copy(other.path, wheel.path)
    with pytest.raises(IntegrityError) as caught:
        backend.install([stage("first", "1.0"), wheel])
    assert caught.value.code == "hash-mismatch"
    assert freeze(backend) == []


def test_nobody_s_configuration_bends_what_is_placed(
    backend: Backend, stage: Callable[..., Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    conf = (
        "[global]\ntarget = /nowhere\nrequire-virtualenv = true\nindex-url = http://127.0.0.1:9\n[install]\nuser = 1\n"
    )
    toml = 'index-url = "http://127.0.0.1:9"\n[pip]\nno-binary = [":all:"]\nexclude-newer = "2001-01-01T00:00:00Z"\n'
    for place, text in ((".config/pip/pip.conf", conf), (".config/uv/uv.toml", toml), ("uv.toml", toml)):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_text(text, encoding="utf-8")
    (home / "pyproject.toml").write_text("[tool.uv]\nno-binary = true\n", encoding="utf-8")
    monkeypatch.chdir(home)
    harmful = {**backend.environ, **HARMFUL, "HOME": str(home), "PIP_CONFIG_FILE": str(home / ".config/pip/pip.conf")}
    harmful["XDG_CONFIG_HOME"] = str(home / ".config")
    bent = replace(backend, environ=harmful)
    bent.install([stage("numpy", "2.1.0"), stage("mimctl-ops", "0.1.0", is_named=False)])
    assert "numpy==2.1.0" in freeze(backend)
    assert "mimctl-ops" in detect(backend.python).distributions
    bent.uninstall(["numpy", "mimctl-ops"])
    assert freeze(backend) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HARMFUL))
def test_no_single_variable_bends_what_is_placed(venv: Path, stage: Callable[..., Staged], name: str) -> None:
    for choice in ("pip", "uv"):
        backend = choose_backend(detect(venv), choice, environ={**os.environ, name: HARMFUL[name]})
        backend.install([stage("numpy", "2.1.0")])
        assert "numpy==2.1.0" in freeze(backend)
        backend.uninstall(["numpy"])


@QUICK
def test_a_hundred_wheels_are_placed_in_one_run(backend: Backend, stage: Callable[..., Staged]) -> None:
    wheels = [stage(f"part-{number}", "1.0", is_named=number % 2 == 0) for number in range(100)]
    backend.install(wheels)
    assert len(freeze(backend)) == 100


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["pip", "uv"])
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_other_pythons_are_served_alike(
    version: str, choice: Choice, tmp_path: Path, stage: Callable[..., Staged], public: object, build_backend: None
) -> None:
    python = next((path for path in _pythons(version) if _works(path)), None)
    if python is None:
        pytest.skip(f"no Python {version} here")
    subprocess.run([python, "-m", "venv", tmp_path / NASTY / "venv"], check=True)
    backend = choose_backend(detect(tmp_path / NASTY / "venv"), choice)
    backend.install([stage("numpy", "2.1.0"), stage("mimctl-ops", "0.1.0", is_named=False)])
    backend.install_editable([write_project(tmp_path / "source")])
    assert set(detect(backend.python).distributions) - {"pip", "setuptools"} == {"numpy", "mimctl-ops", "mine"}
    backend.uninstall(["numpy", "mimctl-ops", "mine"])
    assert not set(detect(backend.python).distributions) - {"pip", "setuptools"}


def _pythons(version: str) -> list[str]:
    found = shutil.which(f"python{version}")
    return [
        *(str(path) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
        *([found] if found else []),
    ]


def _works(python: str) -> bool:
    return subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode == 0


def test_both_leave_the_same_files(venv: Path, tmp_path: Path, stage: Callable[..., Staged]) -> None:
    other = tmp_path / "other"
    shutil.copytree(venv, other, symlinks=True)
    wheels = [stage("numpy", "2.1.0"), stage("torch", "2.13.0+cpu"), stage("mimctl-ops", "0.1.0", is_named=False)]
    trees = {}
    for place, choice in ((venv, "pip"), (other, "uv")):
        backend = choose_backend(detect(place), choice)
        backend.install(wheels)
        trees[choice] = files_of(place)
    of_pip, of_uv = ({path for path in tree if Path(path).name not in ONLY_UV} for tree in trees.values())
    assert of_pip == of_uv
    differing = {path for path in of_pip if trees["pip"][path] != trees["uv"][path]}
    assert {Path(path).name for path in differing} <= OWN_OF_PIP
    assert {trees["pip"][path] for path in of_pip if path.endswith("INSTALLER")} == {b"pip\n"}
    assert {trees["uv"][path] for path in of_uv if path.endswith("INSTALLER")} == {b"uv"}
    for path in (path for path in of_pip if path.endswith("RECORD")):
        rows = {choice: _rows(tree[path]) for choice, tree in trees.items()}
        same = {name for name in rows["pip"] if Path(name).name not in OWN_OF_PIP and not name.endswith(".pyc")}
        assert same == {name for name in rows["uv"] if Path(name).name not in OWN_OF_PIP | ONLY_UV}
        assert {name: rows["pip"][name] for name in same} == {name: rows["uv"][name] for name in same}


def _rows(record: bytes) -> Mapping[str, str]:
    return {row[0]: row[1] for row in csv.reader(io.StringIO(record.decode()))}


def test_uv_is_not_made_to_unpack_again_what_its_cache_holds(
    venv: Path, stage: Callable[..., Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    backend = choose_backend(detect(venv), "uv")
    wheels = [stage("numpy", "2.1.0"), stage("mimctl-ops", "0.1.0", is_named=False)]
    backend.install(wheels)
    unpacked = sorted((tmp_path / "uv-cache").glob("archive-v0/*"))
    backend.uninstall(["numpy", "mimctl-ops"])
    backend.install(wheels)
    assert sorted((tmp_path / "uv-cache").glob("archive-v0/*")) == unpacked


@pytest.fixture
def build_backend(public: object, wheel_writer: Callable[..., Path], tmp_path: Path) -> None:
    """Put a build backend of a few lines onto the "public" index: building needs no other."""
    public.add("tiny-build", "1.0", {"tiny_build.py": BUILD_BACKEND})  # type: ignore[attr-defined]


def with_shelf(backend: Backend) -> Backend:
    """Return the backend with the variables that name the "public" index of the test."""
    return replace(backend, environ={**backend.environ, **os.environ, **_path_of(backend)})


def _path_of(backend: Backend) -> dict[str, str]:
    path = backend.environ.get("PYTHONPATH")
    return {"PYTHONPATH": path} if path else {}


@QUICK
def test_a_folder_is_built_with_what_the_configured_index_serves(
    backend: Backend, build_backend: None, tmp_path: Path
) -> None:
    source = write_project(tmp_path / NASTY / "source")
    wheel = with_shelf(backend).build_wheel(source, tmp_path / NASTY / "out")
    assert wheel.name == "mine-1.5-py3-none-any.whl"
    assert freeze(backend) == []


def test_an_editable_project_stays_where_it_is(backend: Backend, build_backend: None, tmp_path: Path) -> None:
    source = write_project(tmp_path / NASTY / "source")
    with_shelf(backend).install_editable([source])
    there = detect(backend.python).distributions["mine"]
    assert is_from_source(there)
    code = "import mine; print(mine.__file__, mine.BUILT)"
    said = subprocess.run([str(backend.python), "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{source / 'mine.py'} False"
    backend.uninstall(["mine"])
    assert freeze(backend) == []
    assert (source / "mine.py").is_file()


def test_a_build_that_imports_what_it_does_not_declare_is_told_how_to_be_built(
    backend: Backend, build_backend: None, stage: Callable[..., Staged], tmp_path: Path
) -> None:
    source = write_project(tmp_path / "source", needs_torch=True)
    backend = with_shelf(backend)
    with pytest.raises(MimctlError) as caught:
        backend.build_wheel(source, tmp_path / "out")
    assert caught.value.code == "build-failed"
    assert caught.value.causes[0].startswith("its build imports `torch`, undeclared")
    assert "`--no-build-isolation`" in caught.value.hints[0]
    assert not any("tool.uv" in cause for cause in caught.value.causes)
    with pytest.raises(MimctlError) as caught:
        backend.build_wheel(source, tmp_path / "out", is_isolated=False)
    assert "tiny" in "\n".join(caught.value.causes)
    tiny = stage("tiny-build", "1.0")
    backend.install([replace_text(tiny, BUILD_BACKEND, stage), stage("torch", "2.13.0+cpu")])
    assert backend.build_wheel(source, tmp_path / "out", is_isolated=False).is_file()


def replace_text(wheel: Staged, text: str, stage: Callable[..., Staged]) -> Staged:
    """Return the wheel with another text in its module."""
    return stage(wheel.name, wheel.version, text=text)


@QUICK
def test_a_build_whose_requirements_are_nowhere_says_so(backend: Backend, public: object, tmp_path: Path) -> None:
    with pytest.raises(MimctlError) as caught:
        with_shelf(backend).build_wheel(write_project(tmp_path / "source"), tmp_path / "out")
    assert caught.value.code == "build-failed"
    assert caught.value.causes[0] == "what its build requires is not where packages are configured to come from"


@QUICK
def test_harmful_variables_do_not_bend_a_build(backend: Backend, build_backend: None, tmp_path: Path) -> None:
    places = {"PIP_INDEX_URL", "PIP_CONSTRAINT", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_PROXY"}
    places |= {"UV_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS"}
    harmful = {name: value for name, value in HARMFUL.items() if name not in places}
    bent = with_shelf(backend)
    bent = replace(bent, environ={**bent.environ, **harmful})
    assert bent.build_wheel(write_project(tmp_path / "source"), tmp_path / "out").is_file()


def test_uv_is_taken_where_it_is_there_and_pip_otherwise(venv: Path, tmp_path: Path) -> None:
    env = detect(venv)
    assert isinstance(choose_backend(env), UvBackend)
    assert isinstance(choose_backend(env, "pip"), PipBackend)
    no_uv = replace(env, uv=replace(env.uv, value=None), uv_path=None)
    assert isinstance(choose_backend(no_uv), PipBackend)
    old_uv = replace(env, uv=replace(env.uv, value="0.4.30"))
    assert isinstance(choose_backend(old_uv), PipBackend)
    with pytest.raises(MimctlError) as caught:
        choose_backend(old_uv, "uv")
    assert caught.value.code == "no-installer"
    assert "uv 0.4.30 is older than 0.5.0" in caught.value.causes
    with pytest.raises(MimctlError) as caught:
        choose_backend(replace(no_uv, pip=replace(env.pip, value="21.3.1")))
    assert "pip 21.3.1 is older than 22.3" in caught.value.causes
