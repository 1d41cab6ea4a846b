"""Ctrl-C while wheels come in: exit code 130 at once, the environment as before; what came is used the next time."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from hostile.conftest import NAME, Liar, tree
from hostile.lying_server import plain
from tiny_wheels import write_wheel
from toy_toolbox import ROOT


def test_ctrl_c_while_a_wheel_comes_in(liar: Liar, target: Path, tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(300_000)
    body = write_wheel(tmp_path / "large", NAME, extra={"tool/noise.bin": noise}).read_bytes()
    liar.serve_wheel(body)
    half = len(body) // 2

    def half_then_nothing(connection: socket.socket) -> None:
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nETag: "1"\r\n\r\n'
        connection.sendall(head.encode() + body[:half])
        time.sleep(20)

    liar.server.routes[liar.wheel_path] = half_then_nothing
    liar.publish()
    env = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "MIMCTL_PYTHON": str(target / "bin" / "python"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_INDEX_URL": liar.address,
        "MIMCTL_DRIVER": "none",
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
    }
    argv = [sys.executable, "-m", "mimctl", "install", "tool"]
    before = tree(target)
    process = subprocess.Popen(argv, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    part = tmp_path / "cache" / "wheels" / str(liar.entry["sha256"]) / f"{NAME}.part"
    until = time.monotonic() + 30
    while not (part.is_file() and part.stat().st_size >= half) and time.monotonic() < until:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, tree(target) == before) == (130, True), stderr
    assert time.monotonic() - began < 3, "the server would have gone on for 20 s"
    rest = plain(206, body[half:], Content_Range=f"bytes {half}-{len(body) - 1}/{len(body)}", ETag='"1"')
    liar.server.routes[liar.wheel_path] = rest
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"Range: bytes={half}-" in "".join(liar.server.heads)
