"""A target environment that must stay as it is, an index that lies about one project, and what tells a refusal."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hostile.lying_server import LyingServer, lying, plain
from tiny_wheels import write_wheel

from mimctl import api
from mimctl.errors import MimctlError, render
from mimctl.settings import Settings, load

MOST_SECONDS = 25.0
MOST_MEMORY_MIB = 640
"""How far a lie may make this process grow: an index of 256 MiB is read, ten gigabytes of a header are not."""
NAME = "tool-1.0-py3-none-any.whl"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one environment with something that looks like torch, for tests to copy."""
    folder = tmp_path_factory.mktemp("hostile") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    torch = "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
    files = {"torch/version.py": torch.encode(), "torch/__init__.py": b"from torch.version import __version__\n"}
    wheel = write_wheel(folder.parent, "torch-2.13.0+cpu-py3-none-any.whl", extra=files)
    site = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder


@pytest.fixture
def target(template: Path, tmp_path: Path) -> Path:
    """Return an environment of a test's own."""
    folder = tmp_path / "venv"
    shutil.copytree(template, folder, symlinks=True)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every file of an environment, byte code left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def memory_mib(*, starts_anew: bool = False) -> float:
    """Return the most memory that this process has held since the count started anew (Linux), or ever."""
    try:
        if starts_anew:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@dataclass
class Liar:
    """An index with one project, `tool`, that a case changes before it is asked.

    `entry` is what `index.json` says of the wheel; `page` and `route` serve anything else.
    """

    server: LyingServer
    wheel: bytes
    entry: dict[str, Any]
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return the address of the index."""
        return self.server.address

    @property
    def wheel_path(self) -> str:
        """Return where the wheel is served."""
        return "/" + str(self.entry["url"])

    def serve_wheel(self, body: bytes, *, is_told: bool = True) -> None:
        """Serve other bytes as the wheel; with `is_told` the index says so."""
        if is_told:
            self.entry.update(sha256=hashlib.sha256(body).hexdigest(), size=len(body))
        self.server.routes[self.wheel_path] = plain(200, body)

    def publish(self) -> None:
        """Write the documents, except where a case has put its own."""
        whole = {"schema_version": 1, "generator": "x", "files": [self.entry], **self.document}
        self.server.routes.setdefault("/index.json", plain(200, json.dumps(whole).encode()))
        toolboxes = json.dumps({"schema_version": 1, "toolboxes": {}}).encode()
        self.server.routes.setdefault("/toolboxes.json", plain(200, toolboxes))


@pytest.fixture
def liar(tmp_path: Path) -> Iterator[Liar]:
    """Return an index that is honest until a case changes it."""
    wheel = write_wheel(tmp_path / "own", NAME, extra={"tool/evil.py": b"evil = 1\n"}).read_bytes()
    entry = {
        "project": "tool",
        "filename": NAME,
        "url": f"files/{NAME}",
        "sha256": "",
        "size": 0,
        "version": "1.0",
        "tags": ["py3-none-any"],
        "requires_python": ">=3.11",
        "requires_dist": [],
        "provides_extra": [],
        "yanked": None,
        "build": None,
    }
    with lying() as server:
        made = Liar(server=server, wheel=wheel, entry=entry)
        made.serve_wheel(wheel)
        yield made


@pytest.fixture
def settings(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return what makes settings that know nothing of this machine's configuration."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "MIMCTL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", "/dev/null")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("MIMCTL_DRIVER", "none")
    (tmp_path / "home").mkdir()

    def make(*addresses: str, **flags: object) -> Settings:
        flags = {"cache_dir": str(tmp_path / "cache"), "python": str(target / "bin" / "python"), **flags}
        return load({"index": addresses, "http_timeout_s": 30.0, "http_retries": 1, **flags}, folder=tmp_path)

    return make


Refused = Callable[..., MimctlError]


@pytest.fixture
def refused(liar: Liar, settings: Callable[..., Settings], target: Path) -> Refused:
    """Return what installs `tool` as people do and gives the refusal, after it has looked that nothing was done."""

    def install(*names: str, addresses: tuple[str, ...] | None = None, **flags: object) -> MimctlError:
        liar.publish()
        before, began = tree(target), time.monotonic()
        memory = memory_mib(starts_anew=True)
        with pytest.raises(MimctlError) as caught:
            api.install(names or ("tool",), settings=settings(*(addresses or (liar.address,)), **flags))
        assert time.monotonic() - began < MOST_SECONDS
        assert memory_mib() - memory < MOST_MEMORY_MIB
        assert tree(target) == before, "something was installed"
        shown = render(caught.value)
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        return caught.value

    return install
