"""Real environments, tiny wheels, a mimctl index and a "public" package index, both served over loopback HTTP."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mimctl.environment.detect import detect
from mimctl.environment.model import Environment
from mimctl.index.client import IndexClient
from mimctl.index.sources import read_sources
from mimctl.installer.apply import apply
from mimctl.installer.backends.backend import Backend, Choice, choose_backend
from mimctl.installer.backends.staged import Staged
from mimctl.installer.model import InstallOptions, InstallPlan, InstallResult
from mimctl.installer.prepare import Places, prepare_install
from mimctl.resolution.names import is_own
from mimctl.transfer import TransferSettings

PLATFORM = "manylinux_2_17_x86_64.manylinux2014_x86_64"
DET_REQUIRES = ("mimctl[engine]==0.1.0", "mimctl-ops==0.1.0")
CORE_REQUIRES = ("torch>=2.6 ; extra == 'engine'", "numpy>=1.24 ; extra == 'engine'", "pillow>=9 ; extra == 'engine'")
CPU_BUILD = {
    "backend": "cpu",
    "min_torch": "2.10",
    "max_torch": None,
    "min_driver": None,
    "archs": [],
    "ptx": [],
    "ops": [],
}
PYTHON_BUILD = {**CPU_BUILD, "backend": "python", "min_torch": "2.6"}


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel of a few text files."""
    escaped = name.replace("-", "_")
    info = f"{escaped}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requires] + [f"Provides-Extra: {each}" for each in extras]
    tags = "".join(f"Tag: {tag.rpartition('-')[0]}-{each}\n" for each in tag.rpartition("-")[2].split("."))
    contents = dict(files)
    contents[f"{info}/METADATA"] = "\n".join(lines) + "\n"
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n{tags}"
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{escaped}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in contents.items():
            archive.writestr(zipfile.ZipInfo(place, (2020, 1, 1, 0, 0, 0)), text)
    return path


@pytest.fixture
def wheel_writer() -> Callable[..., Path]:
    """Return what writes wheels, for tests that need no index."""
    return write_wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def torch_wheel(folder: Path, version: str, cuda: str | None = None) -> Path:
    """Write a distribution that looks like torch from outside; `cuda` is the toolkit it says it was built with."""
    cuda = repr(cuda)
    text = f"__version__ = '{version}'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = None\n"
    return write_wheel(folder, "torch", version, {"torch/__init__.py": "", "torch/version.py": text})


@dataclass
class Site:
    """A mimctl index that a test fills."""

    folder: Path
    url: str
    wheels: Path
    entries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, wheel: Path, *, requires: Sequence[str] = (), build: Mapping[str, Any] | None = None) -> None:
        """Put a wheel into the index."""
        name, version, rest = wheel.stem.split("-", 2)
        interpreter, abi, platforms = rest.rsplit("-", 2)
        (self.folder / "files").mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, self.folder / "files" / wheel.name)
        self.entries.append(
            {
                "project": name.replace("_", "-"),
                "filename": wheel.name,
                "url": f"files/{wheel.name}".replace("+", "%2B"),
                "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
                "size": wheel.stat().st_size,
                "version": version,
                "tags": [f"{interpreter}-{abi}-{each}" for each in platforms.split(".")],
                "requires_python": ">=3.11",
                "requires_dist": list(requires),
                "provides_extra": [],
                "yanked": None,
                "build": build,
            }
        )
        self.write()

    def add_det(self, version: str = "0.1.0", requires: Sequence[str] | None = None, **wheel: Any) -> None:
        """Add a `mimctl-det`; `declared` are requirements that the wheel has and the index does not tell."""
        requires = DET_REQUIRES if requires is None else requires
        declared = [*requires, *wheel.pop("declared", ())]
        files = {"mimctl_det/__init__.py": f"version = '{version}'\n", "mimctl_det/notes.txt": wheel.pop("extra", "")}
        self.add(write_wheel(self.wheels, "mimctl-det", version, files, requires=declared), requires=requires)

    def add_core(self, version: str = "0.1.0") -> None:
        """Add a `mimctl` that needs nothing but its engine's packages."""
        files = {"mimctl/__init__.py": ""}
        wheel = write_wheel(self.wheels, "mimctl", version, files, requires=CORE_REQUIRES, extras=("engine",))
        self.add(wheel, requires=CORE_REQUIRES)

    def add_ops(self, backend: str, version: str = "0.1.0", tier: str = "compiled") -> None:
        """Add a `mimctl-ops` whose build.json names its backend, and that says what serves its operators."""
        tag = "py3-none-any" if backend == "python" else f"py3-none-{PLATFORM}"
        build = PYTHON_BUILD if backend == "python" else {**CPU_BUILD, "backend": backend}
        answer = f"print('{json.dumps({'tier': tier})}')\n"
        files = {"mimctl_ops/__init__.py": "", "mimctl_ops/__main__.py": answer}
        files["mimctl_ops/build.json"] = json.dumps(build)
        if backend != "python":
            files["mimctl_ops/_mimctl_ops.so"] = "a library"
        wheel = write_wheel(self.wheels, "mimctl-ops", version, files, tag=tag)
        self.add(wheel, build=build)

    def write(self) -> None:
        """Write the documents of the index."""
        index = {"schema_version": 1, "generator": "test", "files": self.entries, "torch": {"verified": "2.13.0"}}
        (self.folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        toolboxes = {"det": {"distribution": "mimctl-det", "aliases": ["mmdet"], "summary": "", "scopes": ["mmdet"]}}
        document = {"schema_version": 1, "toolboxes": toolboxes}
        (self.folder / "toolboxes.json").write_text(json.dumps(document), encoding="utf-8")


class _Handler(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer, after a while for what has `slow` in its name."""
        self.asked.append(self.path)
        if "slow" in self.path and self.path.endswith(".whl"):
            time.sleep(30)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve a folder over loopback HTTP for the whole session."""
    folder = tmp_path_factory.mktemp("www")
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one virtual environment with pip that tests copy: making each anew would take seconds."""
    folder = tmp_path_factory.mktemp("template") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


@pytest.fixture
def venv(template: Path, tmp_path: Path) -> Path:
    """Return a fresh virtual environment with pip."""
    folder = tmp_path / "venv"
    shutil.copytree(template, folder, symlinks=True)
    return folder


@pytest.fixture
def public(server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Return the "public" index that pip and uv are configured with."""
    folder, url = server
    name = f"public-{tmp_path.name}"
    monkeypatch.setenv("PIP_INDEX_URL", f"{url}/{name}/simple/")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("MIMCTL_DRIVER", "none")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    place = folder / name
    shelf = Shelf(folder=place, wheels=tmp_path / "wheels", asked=_Handler.asked)
    shelf.add("numpy", "2.1.0", {"numpy.py": ""})
    shelf.add("pillow", "11.0", {"PIL.py": ""})
    shelf.add("opencv-python-headless", "4.10", {"cv2/__init__.py": ""})
    shelf.add_torch("2.13.0+cpu")
    return shelf


@dataclass
class Shelf:
    """The "public" package index that a test fills."""

    folder: Path
    wheels: Path
    asked: list[str]
    """Paths that the server was asked for, by anyone."""

    def add(
        self, name: str, version: str, files: Mapping[str, str] | None = None, *, requires: Sequence[str] = ()
    ) -> Path:
        """Put a wheel onto the shelf."""
        files = {f"{name.replace('-', '_')}.py": ""} if files is None else files
        wheel = write_wheel(self.wheels, name, version, files, requires=requires)
        publish(self.folder / "simple", wheel)
        return wheel

    def add_torch(self, version: str, cuda: str | None = None) -> None:
        """Put something that looks like torch from outside onto the shelf."""
        publish(self.folder / "simple", torch_wheel(self.wheels, version, cuda))

    def remove_version(self, name: str, version: str) -> None:
        """Take one version off the shelf."""
        for wheel in (self.folder / "simple" / name).glob(f"*-{version}-*.whl"):
            wheel.unlink()
        write_page(self.folder / "simple" / name)

    def remove(self, name: str) -> None:
        """Take a project off the shelf."""
        shutil.rmtree(self.folder / "simple" / name)


def publish(place: Path, wheel: Path) -> None:
    """Put a wheel into a folder of projects with pages (PEP 503)."""
    project = place / wheel.name.partition("-")[0].replace("_", "-")
    project.mkdir(parents=True, exist_ok=True)
    shutil.copy(wheel, project / wheel.name)
    write_page(project)


def write_page(project: Path) -> None:
    """Write the page of a project."""
    links = "".join(
        f'<a href="{each.name.replace("+", "%2B")}" data-core-metadata="true">{each.name}</a><br>\n'
        for each in sorted(project.glob("*.whl"))
    )
    for each in project.glob("*.whl"):
        with zipfile.ZipFile(each) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            each.with_name(f"{each.name}.metadata").write_bytes(archive.read(member))
    (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>", encoding="utf-8")


@pytest.fixture
def site(server: tuple[Path, str], tmp_path: Path) -> Site:
    """Return a mimctl index with det, ops (CPU and pure Python) and mimctl itself."""
    folder, url = server
    name = f"site-{tmp_path.name}"
    (folder / name).mkdir()
    site = Site(folder=folder / name, url=f"{url}/{name}", wheels=tmp_path / "own")
    site.add_core()
    site.add_det()
    site.add_ops("cpu")
    site.add_ops("python")
    return site


@dataclass
class Bench:
    """One target environment, one index, and the steps of an installation between them."""

    venv: Path
    site: Site
    public: Shelf
    cache: Path
    choice: Choice

    @property
    def env(self) -> Environment:
        """Detect the target as it is now."""
        return detect(self.venv)

    def backend(self) -> Backend:
        """Return the installer under test."""
        return choose_backend(self.env, self.choice)

    def client(self) -> IndexClient:
        """Return a client that has seen nothing yet."""
        return IndexClient([self.site.url], TransferSettings(retries=0), self.cache)

    def places(self, torch_index: str = "http://127.0.0.1:9/whl") -> Places:
        """Return where distributions come from."""
        transfer = TransferSettings(retries=0)
        return Places(
            client=self.client(),
            sources=read_sources(os.environ),
            transfer=transfer,
            cache_dir=self.cache,
            torch_index=torch_index,
        )

    def plan(self, *names: str, torch_index: str = "http://127.0.0.1:9/whl", **options: Any) -> InstallPlan:
        """Make a plan."""
        return prepare_install(names, env=self.env, places=self.places(torch_index), options=InstallOptions(**options))

    def apply(self, plan: InstallPlan, **watch: Any) -> InstallResult:
        """Carry out a plan."""
        transfer = TransferSettings(retries=0)
        return apply(plan, transfer=transfer, cache_dir=self.cache, backend=self.backend(), **watch)

    def install(self, *names: str, **options: Any) -> InstallResult:
        """Plan and apply."""
        return self.apply(self.plan(*names, **options))

    def put(self, wheel: Path) -> None:
        """Install a wheel without what it requires, as somebody did before."""
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        place = self.cache.parent / "put" / digest / wheel.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, place)
        project = name.replace("_", "-")
        self.backend().install(
            [Staged(name=project, version=version, path=place, sha256=digest, is_named=not is_own(project))]
        )

    def put_torch(self, version: str = "2.12.0+cpu") -> None:
        """Install something that looks like torch from outside."""
        self.put(torch_wheel(self.cache.parent / "earlier", version))

    def files(self) -> dict[str, str]:
        """Return every file of the environment but compiled Python, with its hash."""
        found = {}
        for path in sorted(self.venv.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
                found[str(path.relative_to(self.venv))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


@pytest.fixture(params=["pip", "uv"])
def bench(request: pytest.FixtureRequest, venv: Path, site: Site, public: Shelf, tmp_path: Path) -> Bench:
    """Return a bench for each installer."""
    return Bench(venv=venv, site=site, public=public, cache=tmp_path / "cache", choice=request.param)


@pytest.fixture
def pip_bench(venv: Path, site: Site, public: Shelf, tmp_path: Path) -> Bench:
    """Return a bench for pip, where the installer makes no difference."""
    return Bench(venv=venv, site=site, public=public, cache=tmp_path / "cache", choice="pip")


@pytest.fixture
def uv_bench(venv: Path, site: Site, public: Shelf, tmp_path: Path) -> Bench:
    """Return a bench for uv, where the installer makes no difference and time does."""
    return Bench(venv=venv, site=site, public=public, cache=tmp_path / "cache", choice="uv")
