"""Models, zoo and index are fetched through the proxy that pip is configured with, as packages are."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from package_web import Web
from zoo.conftest import OWN_WEIGHTS

from mimctl.checkup.gather import read_index

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://index.invalid/mimctl"
"""Of a host that only the proxy knows."""


@pytest.fixture
def proxy(index_dir: Path):
    """Return a proxy that answers for the index."""
    server = Web()
    for path in index_dir.rglob("*.*"):
        kind = "application/json" if path.suffix == ".json" else "application/octet-stream"
        server.pages[f"{ADDRESS}/{path.relative_to(index_dir).as_posix()}"] = (kind, path.read_bytes())
    yield server
    server.close()


@pytest.fixture
def pip_conf(tmp_path: Path, proxy: Web) -> Path:
    path = tmp_path / "pip.conf"
    path.write_text(f"[global]\nproxy = {proxy.address}\n")
    return path


@pytest.fixture
def mimctl(tmp_path: Path, pip_conf: Path) -> Any:
    """Return a function that runs `mimctl` against the index behind the proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "MIMCTL_"))}
    environment = {
        **{name: value for name, value in kept.items() if not name.lower().endswith("_proxy")},
        "PYTHONPATH": str(ROOT),
        "PIP_CONFIG_FILE": str(pip_conf),
        "UV_NO_CONFIG": "1",
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_INDEX_URL": ADDRESS,
        "MIMCTL_HTTP_RETRIES": "0",
        "MIMCTL_PYTHON": sys.executable,
    }

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mimctl", *words],
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


def test_search_and_download_take_the_proxy_of_pip(mimctl: Any, proxy: Web, tmp_path: Path) -> None:
    found = mimctl("search", "det")
    assert found.returncode == 0, found.stderr
    assert "rtmdet_nano" in found.stdout
    done = mimctl("download", "det", "rtmdet_nano", "--dest", "models")
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in (tmp_path / "models").glob("*.safetensors")] == [OWN_WEIGHTS]
    assert any(path.startswith(f"{ADDRESS}/zoo/files/") for path in proxy.asked)


def test_a_variable_of_pip_counts_more_than_its_file(mimctl: Any, pip_conf: Path, proxy: Web) -> None:
    pip_conf.write_text("[global]\nproxy = http://127.0.0.1:9\n")
    assert mimctl("search", "det").returncode == 4
    assert mimctl("search", "det", PIP_PROXY=proxy.address).returncode == 0


def test_the_proxy_of_uv_serves_where_pip_names_none(mimctl: Any, pip_conf: Path, proxy: Web, tmp_path: Path) -> None:
    pip_conf.write_text("")
    uv_toml = tmp_path / "uv.toml"
    for text, code in (
        (f'http-proxy = "{proxy.address}"\n', 0),
        (f'https-proxy = "{proxy.address}"\n', 4),
        (f'http-proxy = "{proxy.address}"\nno-proxy = ["index.invalid"]\n', 4),
    ):
        uv_toml.write_text(text)
        done = mimctl("search", "det", UV_CONFIG_FILE=str(uv_toml), MIMCTL_CACHE_DIR=str(tmp_path / f"cache {code}"))
        assert done.returncode == code, (text, done.stderr)


def test_the_file_of_the_target_environment_counts(mimctl: Any, proxy: Web, pip_conf: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (venv / "pip.conf").write_text(f"[global]\nproxy = {proxy.address}\n")
    pip_conf.write_text("")
    assert mimctl("search", "det").returncode == 4
    done = mimctl("search", "det", MIMCTL_PYTHON=str(venv))
    assert done.returncode == 0, done.stderr


def test_doctor_reads_the_index_through_the_proxy(
    settings: Any, proxy: Web, pip_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", str(pip_conf))
    monkeypatch.delenv("PIP_PROXY", raising=False)
    index, problem = read_index(replace(settings, index=(ADDRESS,)))
    assert problem is None
    assert index is not None
    assert index.torch_verified == "2.13.0"


def test_a_configuration_that_cannot_be_read_says_so_and_stops_only_what_is_fetched(
    mimctl: Any, pip_conf: Path, index_dir: Path
) -> None:
    pip_conf.write_text("[global\n")
    done = mimctl("search", "det")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(pip_conf) in done.stderr
    assert mimctl("search", "det", MIMCTL_INDEX_URL=str(index_dir)).returncode == 0
