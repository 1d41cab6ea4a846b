"""`cache prune` and `cache clean` while others download, or hold what they took from the cache: real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until

from mimctl.settings import Settings
from mimctl.transfer.cache import prune
from mimctl.zoo.upstream import upstream_configs

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from mimctl.settings import Settings
from mimctl.zoo.upstream import upstream_configs
from mimctl.zoo.weights import fetch_weights
cache = Path(sys.argv[1])
weights = fetch_weights(sys.argv[2], settings=Settings(cache_dir=cache, home=cache))
configs = upstream_configs("mmdet==3.3.0", cache_dir=cache)
print("held", flush=True)
sys.stdin.readline()
print(len(weights.read_bytes()), len(list(configs.rglob("*.py"))), flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path, index_dir: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_INDEX_URL": str(index_dir),
        "MIMCTL_PYTHON": sys.executable,
    }


@pytest.fixture
def slow(facts: Any) -> Iterator[tuple[str, threading.Event]]:
    """Return the address of a server that sends half of the weights, and the rest when the event is set."""
    go_on = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            half = len(facts.weights) // 2
            self.send_response(200)
            self.send_header("Content-Length", str(len(facts.weights)))
            self.end_headers()
            self.wfile.write(facts.weights[:half])
            self.wfile.flush()
            go_on.wait(240)
            self.wfile.write(facts.weights[half:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", go_on
    go_on.set()
    server.shutdown()
    server.server_close()


def mimctl(*words: str) -> list[str]:
    return [sys.executable, "-m", "mimctl", *words]


def empty(environment: dict[str, str]) -> None:
    """Remove all from the cache that nobody uses, twice over."""
    for words in (("cache", "prune", "--days", "0"), ("cache", "clean")):
        subprocess.run(mimctl(*words), env=environment, check=True, capture_output=True, timeout=240)


def test_a_download_ends_well_while_the_cache_is_emptied(
    environment: dict[str, str], slow: tuple[str, threading.Event], package_index: Path, facts: Any, tmp_path: Path
) -> None:
    address, go_on = slow
    argv = mimctl("download", "det", "rtmdet_s", "--dest", str(tmp_path / "dest"), "--mirror", address)
    running = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def is_coming() -> bool:
        assert running.poll() is None, running.communicate()
        return bool(list((tmp_path / "cache").rglob("*.pth.part")))

    wait_until(is_coming)
    empty(environment)
    go_on.set()
    _, stderr = running.communicate(timeout=240)
    assert running.returncode == 0, stderr
    assert (tmp_path / "dest" / facts.filename).read_bytes() == facts.weights


def test_what_a_run_took_from_the_cache_stays_while_it_lives(
    environment: dict[str, str], mirror: Any, package_index: Path, facts: Any, tmp_path: Path
) -> None:
    mirror.put(facts.filename, facts.weights)
    cache = tmp_path / "cache"
    argv = [sys.executable, "-c", HOLDER, str(cache), f"{mirror.address}/{facts.filename}"]
    # Another process fills the cache: this one would count among its users.
    first = subprocess.run(argv, env=environment, cwd=ROOT, input="\n", check=True, capture_output=True, text=True)
    held = first.stdout.splitlines()[1]
    hours_ago = time.time() - 10 * 3600
    for path in cache.rglob("*"):
        if path.is_file():
            os.utime(path, (hours_ago, hours_ago))
    mirror.requests.clear()
    with subprocess.Popen(
        argv, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        empty(environment)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == f"{held}\n"
    assert mirror.requests == []
    empty(environment)
    assert not list(cache.rglob(facts.filename)), "nobody uses it any more"


def test_configs_of_a_release_go_together_or_not_at_all(settings: Settings, package_index: Path) -> None:
    configs = upstream_configs("mmdet==3.3.0", cache_dir=settings.cache_dir)
    long_ago = time.time() - 40 * 24 * 3600
    for path in [*configs.rglob("*.py"), configs.parent / "METADATA"]:
        os.utime(path, (long_ago, long_ago))
    upstream_configs("mmdet==3.3.0", cache_dir=settings.cache_dir)
    assert prune(settings.cache_dir, days=30) == []
    os.utime(configs.parent / ".used", (long_ago, long_ago))
    assert prune(settings.cache_dir, days=30)
    assert not configs.parent.exists()
