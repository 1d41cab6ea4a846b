"""The commands of the page on indexes, typed in their order; small wheels stand for those that would be built."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from login_node import Login
from loopback import free_ports
from page_reader import Reader
from patience import wait_until
from static_server import Server, read
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl import api

ANY = "mimctl_ops-0.1.0-py3-none-any.whl"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Wheels, and what their verification would print."""
    for backend, version in (("python", "0.1.0"), ("cu13", "0.1.0+cu13"), ("cpu", "0.1.0+cpu")):
        write_ops_wheel(tmp_path / "made", backend, version=version)
    write_wheel(tmp_path / "made", "mimctl_det-0.1.0-py3-none-any.whl")
    sha256 = hashlib.sha256((tmp_path / "made" / ANY).read_bytes()).hexdigest()
    counts = {"passed": 9, "failed": 0, "skipped": 0, "python": "3.11.9", "torch": "2.13.0+cpu"}
    (tmp_path / "verify.json").write_text(json.dumps({"cells": [{"outcome": "passed", "sha256": sha256, **counts}]}))
    return tmp_path / "made"


def is_served(address: str) -> bool:
    """Return whether an index answers."""
    try:
        with urllib.request.urlopen(f"{address}/index.json", timeout=60):
            return True
    except OSError:
        return False


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, made: Path) -> None:
    write_wheel(tmp_path / "new", "mimctl_det-0.2.0-py3-none-any.whl")
    api.build_index([made], tmp_path / "published")
    published = Server(tmp_path / "published")
    [port] = free_ports(1)
    pip = f"{sys.executable} -m pip"
    stands_for = {
        "mimctl wheels build --out": "cp -r made",
        "mimctl wheels verify --wheels wheels --json": "cat verify.json",
        "8080": str(port),
        "pip install": f"{pip} install --disable-pip-version-check --upgrade --target got",
        "pip freeze": f"{pip} freeze",
        "--extra-index-url": "--index-url",  # the public one is left alone,
        "-c torch.txt": "-c torch.txt --no-deps",  # and so torch is not fetched anew
        "--from https://wheels.example.org": f"--from {published.address}",
    }
    desk = Login.at(tmp_path, MIMCTL_CACHE_DIR=str(tmp_path / "cache"), PIP_CONFIG_FILE="/dev/null")
    reader = Reader("host-a-private-index.md", desk, stands_for)
    reader.types("mimctl wheels build")
    assert "4 wheels" in reader.types("mimctl index build")
    serving = reader.begins("mimctl index serve")
    try:
        wait_until(lambda: is_served(f"http://127.0.0.1:{port}"))
        reader.types("mimctl settings set index")
        for kind, page in (("python", "simple"), ("cu13", "whl/cu13")):
            assert page in reader.left[0]
            reader.types("pip install --index-url")
            assert kind in (tmp_path / "got/mimctl_ops/kind.py").read_text()
            shutil.rmtree(tmp_path / "got")
        assert reader.types("pip freeze") == ""
        assert (tmp_path / "torch.txt").read_text().startswith("torch==")
        reader.types("pip install --extra-index-url")
    finally:
        serving.send_signal(signal.SIGINT)
        subprocess.Popen.wait(serving, 240)
    reader.types("mimctl settings set index https://wheels.example.org")
    reader.types("mkdir")
    reader.types("mimctl wheels verify")
    reader.types("mimctl index build --wheels wheels --verified")
    assert 'Python 3.11.9: <span class="yes">9 passed' in (tmp_path / "site/index.html").read_text()
    assert "4 wheels" in reader.types("mimctl index build --wheels wheels --from")
    assert "5 wheels" in reader.types("mimctl index build --wheels new --from site")
    assert (tmp_path / "site/files" / ANY).exists()
    for reason in ("wrong gradients of nms", None):
        reader.types("mimctl index yank")
        yanked = {each["filename"]: each["yanked"] for each in read(tmp_path / "site/index.json")["files"]}
        assert yanked[ANY] == reason
    assert not reader.left
    published.close()
