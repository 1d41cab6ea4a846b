"""One big file over several connections: when, how many, and what becomes of it when a run is killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until

from mimctl.errors import MimctlError
from mimctl.transfer import Job, TransferSettings, download, download_all
from mimctl.transfer.allowance import Allowance
from tests.transfer.faults import Fault, busy, cut, says, stalls, to_ranges

ROOT = Path(__file__).resolve().parents[2]
BODY = random.Random(6).randbytes(1_500_007)
OTHER = random.Random(7).randbytes(1_500_007)
SHA = hashlib.sha256(BODY).hexdigest()


class Counted(Allowance):
    """An allowance that remembers the most connections at once, as they are here: servers see their end later."""

    seen = 0

    def take(self) -> bool:
        is_given = super().take()
        self.seen = max(self.seen, self._num)
        return is_given


@pytest.fixture
def slow_server(server: Any) -> Any:
    """Return a server that sends each connection at most 8 MB/s."""
    server.files["/w.pth"] = BODY
    server.headers["/w.pth"] = {"Accept-Ranges": "bytes"}
    server.chunk_delay_s = 0.001
    return server


@pytest.fixture
def eager() -> TransferSettings:
    return TransferSettings(
        timeout_s=60, retries=3, backoff_s=0.01, max_wait_s=1.5, patience_s=0.04, least_piece=1 << 15
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ranges_of(server: Any) -> list[str]:
    return [request["range"] for request in server.requests if "range" in request]


def fetch(server: Any, folder: Path, settings: TransferSettings, **facts: Any) -> bytes:
    return download(f"{server.address}/w.pth", folder / "w.pth", settings=settings, **facts).read_bytes()


def test_a_slow_file_comes_over_four_connections(slow_server: Any, tmp_path: Path, eager: TransferSettings) -> None:
    told: list[int] = []
    assert fetch(slow_server, tmp_path, eager, progress=lambda done, _total: told.append(done)) == BODY
    assert slow_server.most_at_once >= 4
    assert all("if-range" in request for request in slow_server.requests if "range" in request)
    assert slow_server.num_body_bytes < len(BODY) * 1.3, "pieces were fetched twice"
    assert told == sorted(told)
    assert told[-1] == len(BODY)
    assert names_in(tmp_path) == ["w.pth"]


def test_a_file_that_comes_soon_comes_over_one(slow_server: Any, tmp_path: Path, eager: TransferSettings) -> None:
    assert fetch(slow_server, tmp_path, replace(eager, patience_s=60)) == BODY
    assert len(slow_server.requests) == 1


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_connections_than_allowed(slow_server: Any, tmp_path: Path, eager: TransferSettings, most: int) -> None:
    allowance = Counted(most)
    assert fetch(slow_server, tmp_path, replace(eager, allowance=allowance)) == BODY
    assert allowance.seen == most


def test_several_files_share_what_is_allowed(slow_server: Any, tmp_path: Path, eager: TransferSettings) -> None:
    slow_server.files |= {f"/{number}": BODY[: 300_000 * number] for number in (1, 2, 3)}
    jobs = [Job(url=f"{slow_server.address}/{name}", dest=tmp_path / name) for name in ("1", "2", "3", "w.pth")]
    allowance = Counted()
    paths = download_all(jobs, settings=replace(eager, allowance=allowance), max_parallel=2)
    assert [len(path.read_bytes()) for path in paths] == [300_000, 600_000, 900_000, len(BODY)]
    assert allowance.seen <= 4 + 1, "one for each of two files, and no further ones beyond four"
    assert ranges_of(slow_server)


@pytest.mark.parametrize("tag", ['W/"weak"', ""])
def test_a_file_without_a_strong_tag_comes_over_one(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, tag: str
) -> None:
    slow_server.headers["/w.pth"] = {"Accept-Ranges": "bytes", **({"ETag": tag} if tag else {})}
    slow_server.has_validators = False
    assert fetch(slow_server, tmp_path, eager, sha256=SHA) == BODY
    assert len(slow_server.requests) == 1


def test_a_server_that_gives_no_ranges_is_not_asked_for_any(
    slow_server: Any, tmp_path: Path, eager: TransferSettings
) -> None:
    slow_server.headers["/w.pth"] = {"Accept-Ranges": "none"}
    assert fetch(slow_server, tmp_path, eager) == BODY
    assert len(slow_server.requests) == 1


def test_a_server_that_ignores_ranges_is_asked_once(slow_server: Any, tmp_path: Path, eager: TransferSettings) -> None:
    slow_server.headers.clear()
    slow_server.knows_ranges = False
    assert fetch(slow_server, tmp_path, eager) == BODY
    assert len(slow_server.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_minds_is_not_asked_again(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, status: int
) -> None:
    slow_server.always = to_ranges(busy(status, "100"))
    began = time.monotonic()
    assert fetch(slow_server, tmp_path, eager) == BODY
    assert len(slow_server.requests) <= 4, "three further connections at the most, and none of them twice"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "fault", [says(404), says(403), says(206, BODY[:9], Content_Range="bytes 0-8/9"), cut(BODY, 9)]
)
def test_what_goes_wrong_beside_the_files_own_connection_does_not_matter(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, fault: Fault
) -> None:
    slow_server.always = to_ranges(fault)
    assert fetch(slow_server, tmp_path, eager) == BODY


def test_a_connection_that_stalls_is_left_for_the_others(
    slow_server: Any, tmp_path: Path, eager: TransferSettings
) -> None:
    seen = threading.Event()

    def first_only(handler: Any) -> bool:
        if "Range" not in handler.headers or seen.is_set():
            return False
        seen.set()
        return stalls(b"HTTP/1.1 206 Partial\r\n", 100)(handler)

    slow_server.always = first_only
    began = time.monotonic()
    assert fetch(slow_server, tmp_path, replace(eager, timeout_s=300)) == BODY
    assert seen.is_set()
    assert time.monotonic() - began < 60


def changing(server: Any, number: int) -> Callable[[Any], bool]:
    """Have the file become another one at some request for a piece."""
    asked: list[str] = []

    def fault(handler: Any) -> bool:
        if "Range" in handler.headers:
            asked.append(handler.headers["Range"])
            if len(asked) == number:
                server.files["/w.pth"] = OTHER
        return False

    return fault


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_file_that_changes_between_pieces_is_never_a_mixture(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, number: int
) -> None:
    slow_server.always = changing(slow_server, number)
    assert fetch(slow_server, tmp_path, eager) in (BODY, OTHER)


def test_pieces_of_another_file_under_the_same_tag_are_found_by_the_hash(
    slow_server: Any, tmp_path: Path, eager: TransferSettings
) -> None:
    slow_server.tags["/w.pth"] = '"same"'

    def lie(handler: Any) -> bool:
        slow_server.files["/w.pth"] = OTHER if "Range" in handler.headers else BODY
        return False

    slow_server.always = lie
    assert fetch(slow_server, tmp_path, eager, sha256=SHA) == BODY
    assert "range" not in slow_server.requests[-1]


@pytest.mark.parametrize("most", [1, 4])
def test_a_hundred_cuts_at_random_bytes_do_no_harm(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, most: int
) -> None:
    generator = random.Random(8)
    slow_server.cuts = [generator.randrange(1, 20_000) for _ in range(100)]
    if most == 1:
        slow_server.chunk_delay_s = 0.0
    assert fetch(slow_server, tmp_path, replace(eager, allowance=Allowance(most)), sha256=SHA) == BODY
    assert not slow_server.cuts
    assert slow_server.num_body_bytes < len(BODY) * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small tmpfs")
def test_a_disk_that_fills_up_meanwhile_is_one_clear_error(
    slow_server: Any, tmp_path: Path, eager: TransferSettings
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")

    def fill(done: int, _total: int | None) -> None:
        if done > 300_000 and not (small / "others").exists():
            (small / "others").write_bytes(bytes(1_000_000))

    try:
        with pytest.raises(MimctlError) as caught:
            fetch(slow_server, small, eager, progress=fill)
        assert caught.value.code == "disk-full"
        assert names_in(small) == ["others"]
        assert slow_server.most_at_once > 1
    finally:
        subprocess.run(["umount", str(small)], check=True)


SCRIPT = """
import sys
from pathlib import Path
from mimctl.transfer import TransferSettings, download
settings = TransferSettings(patience_s=0.1, least_piece=1 << 15)
download(sys.argv[1], Path(sys.argv[2]), settings=settings)
"""


def killed(server: Any, dest: Path, number: signal.Signals) -> None:
    """Have a process fetch the file, and kill it once several connections have brought something."""
    argv = [sys.executable, "-c", SCRIPT, f"{server.address}/w.pth", str(dest)]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    facts = dest.with_name("w.pth.part.json")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if facts.is_file() and len(json.loads(facts.read_text()).get("there", [])) > 1:
            break
        time.sleep(0.01)
    else:
        raise AssertionError("no pieces came")
    os.killpg(process.pid, number)
    process.wait(240)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_pieces_of_a_killed_run_are_gone_on_with(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, number: signal.Signals
) -> None:
    slow_server.files["/w.pth"] = BODY * 8
    slow_server.chunk_delay_s = 0.01
    killed(slow_server, tmp_path / "w.pth", number)
    assert names_in(tmp_path)[-2:] == ["w.pth.part", "w.pth.part.json"]
    there = sum(end - start for start, end in json.loads((tmp_path / "w.pth.part.json").read_text())["there"])
    assert 0 < there < len(BODY) * 8
    slow_server.chunk_delay_s = 0.001
    wait_until(slow_server.is_idle)
    before = slow_server.num_body_bytes
    assert fetch(slow_server, tmp_path, eager) == BODY * 8
    assert slow_server.num_body_bytes - before <= len(BODY) * 8 - there + (1 << 20), "what was there came again"
    assert names_in(tmp_path) == ["w.pth"]


@pytest.mark.parametrize("there", ["[[5, 3]]", "[[0, 9], [3, 12]]", "[[0, 99999999]]", "[0]", "7", '"x"', "[[-9, 5]]"])
def test_what_is_remembered_is_believed_only_where_it_can_be(
    slow_server: Any, tmp_path: Path, eager: TransferSettings, there: str
) -> None:
    with pytest.raises(MimctlError):
        slow_server.always = cut(BODY, 200_000)
        fetch(slow_server, tmp_path, replace(eager, retries=0))
    facts = tmp_path / "w.pth.part.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "there": json.loads(there)}))
    slow_server.always = None
    assert fetch(slow_server, tmp_path, eager) == BODY
