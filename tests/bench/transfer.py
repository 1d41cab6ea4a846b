"""Fetching one big file from a server of this machine: throughput beside curl's, with the file verified.

python tests/bench/transfer.py [MB] [RUNS]

Both ways are whole processes that take turns. The server is another process (sendfile, HTTP/1.1, ranges, strong
entity tags). Over the loopback's full speed (which takes a core for the server, one for who fetches and one for the
hash) and over a gigabit line mimctl has to reach 0.9 times curl's throughput, where each connection is held to some
MB/s 1.5 times. mimctl hashes the file and syncs it to the disk, curl does neither; so they write to memory first, then
to a disk, where a `sync` of the file follows curl. CPU times are those of the processes that fetch.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMITS_MB_S = {"/gigabit": 117, "/limited": 40}
KINDS = (
    ("full speed", "/full", 4, 0.9),
    ("gigabit line", "/gigabit", 1, 0.9),
    ("each connection limited", "/limited", 4, 1.5),
)
"""What the server does, its path, the most connections of mimctl, and the least ratio that is wanted."""
FETCH = """
import sys
from pathlib import Path
from mimctl.transfer import TransferSettings, download
from mimctl.transfer.allowance import Allowance
settings = TransferSettings(allowance=Allowance(int(sys.argv[4])))
download(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], settings=settings)
"""


def serve(file: Path, told: int) -> None:
    """Serve one file for ever, some paths at limited speed; write the port to the descriptor `told`."""
    size = file.stat().st_size

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            first, end = 0, size
            if wanted := self.headers.get("Range"):
                begin, _, last = wanted.removeprefix("bytes=").partition("-")
                first, end = int(begin), int(last) + 1 if last else size
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(end - first))
            self.end_headers()
            self.wfile.flush()
            self._send(first, end)

        def _send(self, first: int, end: int) -> None:
            step = LIMITS_MB_S[self.path] * 10_000 if self.path in LIMITS_MB_S else end - first
            began = time.monotonic()
            try:
                with file.open("rb") as stream:
                    for number, offset in enumerate(range(first, end, step)):
                        if step < end - first:
                            time.sleep(max(0.0, began + number * 0.01 - time.monotonic()))
                        self.connection.sendfile(stream, offset, min(step, end - offset))
            except OSError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    os.write(told, f"{server.server_port}\n".encode())
    server.serve_forever()


def seconds(argv: list[str]) -> tuple[float, float]:
    """Return how long a process took: elapsed, and CPU time."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, worked


def compare(ways: Sequence[list[str]], file: Path, runs: int) -> list[list[tuple[float, float]]]:
    """Return the times of each way, in s; they take turns, and the file is removed after each."""
    taken: list[list[tuple[float, float]]] = [[] for _ in ways]
    for _ in range(runs):
        for argv, times in zip(ways, taken, strict=True):
            times.append(seconds(argv))
            file.unlink()
    return taken


def measure(parent: Path, size: int, runs: int, *, syncs: bool) -> None:
    """Print a line for each kind of server, for files below `parent`."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        file = folder / "served"
        with file.open("wb") as stream:
            for _ in range(0, size, 1 << 20):
                stream.write(os.urandom(1 << 20))
        os.sync()
        reading, writing = os.pipe()
        server = os.fork()
        if not server:
            serve(file, writing)
        port = int(os.read(reading, 100))
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        try:
            for kind, path, most, least in KINDS:
                url, fetched = f"http://127.0.0.1:{port}{path}", folder / "fetched"
                curl = f"curl --silent --fail --noproxy '*' --output {fetched} {url}"
                ways = (
                    ["sh", "-c", curl + (f" && sync {fetched}" if syncs else "")],
                    [sys.executable, "-c", FETCH, url, str(fetched), sha256, str(most)],
                )
                taken = compare(ways, fetched, runs)
                rates = [sorted(size / 1e6 / wall for wall, _ in times) for times in taken]
                middle, best = ([of(each) for each in rates] for of in (statistics.median, max))
                cpu = [min(worked for _, worked in times) * 1e9 / size for times in taken]
                print(
                    f"{parent!s:<9} {kind:<24} curl {middle[0]:4.0f} MB/s, mimctl {middle[1]:4.0f} MB/s:"
                    f" {middle[1] / middle[0]:.2f}x; best {best[0]:4.0f}, {best[1]:4.0f}: {best[1] / best[0]:.2f}x"
                    f" (at least {least}x); CPU {cpu[0]:.2f} and {cpu[1]:.2f} s a GB"
                )
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


def main() -> None:
    """Measure in memory, where there is a file system of that kind, and on a disk."""
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 1000) * 1_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    memory = Path("/dev/shm")
    if memory.is_dir():
        measure(memory, size, runs, syncs=False)
    measure(Path(tempfile.gettempdir()), size, runs, syncs=True)


if __name__ == "__main__":
    main()
