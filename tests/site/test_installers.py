"""Unmodified pip and uv install from the index over HTTP, into real virtual environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_wheels import OPS_BUILD, write_wheel

from mimctl.site.build import build_site

FAT = f"mimctl_ops-0.1.0-py3-none-manylinux_2_17_{os.uname().machine}.whl"
LABELLED = f"mimctl_ops-0.1.0+cu13-py3-none-manylinux_2_17_{os.uname().machine}.whl"

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


class QuietHandler(SimpleHTTPRequestHandler):
    """A static file server that keeps what was asked for."""

    paths: list[str] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an index with a fat, a labelled and a pure wheel of mimctl-ops."""
    folder = tmp_path_factory.mktemp("index")
    for name, backend in ((FAT, "cpu"), ("mimctl_ops-0.1.0-py3-none-any.whl", "python"), (LABELLED, "cu13")):
        kind = {"mimctl_ops/kind.py": f"KIND = {backend!r}\n".encode()}
        header = "Requires-Dist: torch>=2.10\nRequires-Python: >=3.11"
        write_wheel(folder / "wheels", name, metadata=header, build={**OPS_BUILD, "backend": backend}, extra=kind)
    build_site(wheels=[folder / "wheels"], out=folder / "site")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return the interpreter of an empty virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    return tmp_path / "venv" / "bin" / "python"


def installer(name: str, python: Path) -> list[str]:
    if name == "pip":
        return [sys.executable, "-m", "pip", "--isolated", "--python", str(python), "install", "--no-cache-dir"]
    if UV is None:
        pytest.skip("uv is not installed")
    return [UV, "pip", "install", "--no-config", "--no-cache", "--python", str(python)]


def install(name: str, python: Path, *arguments: str) -> str:
    """Install without dependencies and return the kind of wheel that is now there."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    environment["PIP_CONFIG_FILE"] = os.devnull
    argv = [*installer(name, python), "--no-deps", *arguments]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    code = "from mimctl_ops.kind import KIND; print(KIND)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", ["pip", "uv"])
def test_the_platform_wheel_is_taken_from_simple(name: str, python: Path, address: str) -> None:
    assert install(name, python, "--index-url", f"{address}/simple", "mimctl-ops") == "cpu"


@pytest.mark.parametrize("name", ["pip", "uv"])
def test_a_backend_s_index_gives_the_labelled_wheel(name: str, python: Path, address: str) -> None:
    assert install(name, python, "--index-url", f"{address}/whl/cu13", "mimctl_ops==0.1.0") == "cu13"


@pytest.mark.parametrize("name", ["pip", "uv"])
def test_metadata_files_serve_where_no_wheel_is_needed(name: str, python: Path, address: str) -> None:
    QuietHandler.paths.clear()
    dry = [*installer(name, python), "--dry-run", "--no-deps", "--index-url", f"{address}/simple", "mimctl-ops"]
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(dry, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if name == "pip":  # uv asks for no metadata at all where dependencies are left out
        assert any(path.endswith(".whl.metadata") for path in QuietHandler.paths)
    assert not any(path.endswith(".whl") for path in QuietHandler.paths)


def test_a_changed_wheel_is_refused(python: Path, address: str, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "mimctl_ops-0.1.0-py3-none-any.whl", build={**OPS_BUILD, "backend": "python"})
    build_site(wheels=[tmp_path / "wheels"], out=tmp_path / "site")
    with (tmp_path / "site/files/mimctl_ops-0.1.0-py3-none-any.whl").open("ab") as stream:
        stream.write(b"more")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        index = f"http://127.0.0.1:{server.server_port}/simple"
        argv = [*installer("pip", python), "--no-deps", "--index-url", index, "mimctl-ops"]
        done = subprocess.run(argv, env={**os.environ, "PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
