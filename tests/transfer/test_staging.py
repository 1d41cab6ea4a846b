"""`download_all`: several files at once, the first failure, Ctrl-C, one file asked for twice."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until

from mimctl.errors import MimctlError
from mimctl.transfer import Job, TransferSettings, download_all

ROOT = Path(__file__).resolve().parents[2]
BODIES = {f"/f{number}.whl": random.Random(number).randbytes(90_000 + number) for number in range(8)}


@pytest.fixture
def full_server(server: Any) -> Any:
    server.files.update(BODIES)
    return server


def jobs_of(server: Any, folder: Path) -> list[Job]:
    return [
        Job(
            url=server.address + name,
            dest=folder / name[1:],
            sha256=hashlib.sha256(body).hexdigest(),
            size=len(body),
        )
        for name, body in BODIES.items()
    ]


def test_all_files_come_several_at_a_time(full_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    meeting = threading.Barrier(3, timeout=60)

    def meet(_handler: object) -> bool:
        meeting.wait()
        return False

    full_server.faults = [meet] * 3
    told: list[tuple[int, int | None]] = []
    files: dict[str, tuple[int, int | None]] = {}
    paths = download_all(
        jobs_of(full_server, tmp_path),
        settings=quick,
        progress=lambda *numbers: told.append(numbers),
        file_progress=lambda name, *numbers: files.__setitem__(name, numbers),
        max_parallel=3,
    )
    assert [path.read_bytes() for path in paths] == list(BODIES.values())
    whole = sum(map(len, BODIES.values()))
    assert told[-1] == (whole, whole)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert files == {name[1:]: (len(body), len(body)) for name, body in BODIES.items()}
    assert full_server.most_at_once == 3


def test_a_file_asked_for_twice_is_fetched_once(full_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    jobs = jobs_of(full_server, tmp_path)[:2]
    assert download_all([*jobs, jobs[0]], settings=quick) == [jobs[0].dest, jobs[1].dest, jobs[0].dest]
    assert len(full_server.requests) == 2
    download_all(jobs, settings=quick)
    assert len(full_server.requests) == 2, "what is there and has its hash is not asked for"


def test_what_is_all_there_costs_no_http_library(full_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    jobs = jobs_of(full_server, tmp_path)[:1]
    download_all(jobs, settings=quick)
    script = (
        "import sys\nfrom pathlib import Path\nfrom mimctl.transfer import Job, download_all\n"
        "download_all([Job(url='http://127.0.0.1:9/x', dest=Path(sys.argv[1]), sha256=sys.argv[2])])\n"
        "sys.exit('requests' in sys.modules)\n"
    )
    argv = [sys.executable, "-c", script, str(jobs[0].dest), str(jobs[0].sha256)]
    assert subprocess.run(argv, cwd=ROOT).returncode == 0


def test_two_files_for_one_place_are_a_mistake(tmp_path: Path) -> None:
    jobs = [Job(url=f"http://h/{name}", dest=tmp_path / "x", sha256=name * 64) for name in "ab"]
    with pytest.raises(ValueError, match="two different files"):
        download_all(jobs)


def test_nothing_to_fetch_is_no_work() -> None:
    assert download_all([]) == []


def test_the_first_failure_ends_the_others_and_they_are_resumed(
    full_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    full_server.chunk_delay_s = 5
    jobs = jobs_of(full_server, tmp_path)
    wrong = Job(url=full_server.address + "/gone.whl", dest=tmp_path / "gone.whl", sha256="0" * 64)

    def late(handler: Any) -> bool:
        # Requests come in any order; the one that fails does so when all four are there.
        if handler.path == "/gone.whl":
            wait_until(lambda: len(list(tmp_path.glob("*.whl.part"))) == 3)
        return False

    full_server.faults = [late] * 4
    began = time.monotonic()
    with pytest.raises(MimctlError) as caught:
        download_all([*jobs[:3], wrong, *jobs[3:]], settings=quick, max_parallel=4)
    assert caught.value.code == "http-status"
    assert time.monotonic() - began < 40, "the others would have gone on for a minute"
    assert len(full_server.requests) == 4
    assert not list(tmp_path.glob("*.whl"))
    assert len(list(tmp_path.glob("*.whl.part"))) >= 1
    full_server.chunk_delay_s = 0
    download_all(jobs, settings=quick)
    assert any("range" in request for request in full_server.requests)


def test_a_wait_before_another_try_is_ended_too(full_server: Any, tmp_path: Path) -> None:
    patient = TransferSettings(timeout_s=60, retries=5, backoff_s=200, max_wait_s=300)

    def gone(handler: Any) -> bool:
        wait_until(lambda: len(full_server.requests) == 2)
        handler.send_error(404)
        return True

    full_server.will_answer(503)
    full_server.faults.append(gone)
    began = time.monotonic()
    with pytest.raises(MimctlError) as caught:
        download_all(jobs_of(full_server, tmp_path)[:2], settings=patient, max_parallel=2)
    assert (caught.value.code, time.monotonic() - began < 60) == ("http-status", True)


SCRIPT = """
import sys
from pathlib import Path
from mimctl.transfer import Job, download_all
jobs = [Job(url=f"{sys.argv[1]}/f{n}.whl", dest=Path(sys.argv[2]) / f"f{n}.whl") for n in range(8)]
download_all(jobs, max_parallel=4)
"""


def test_ctrl_c_ends_all_at_once(full_server: Any, tmp_path: Path) -> None:
    full_server.chunk_delay_s = 5
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, full_server.address, str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.glob("*.part"))) == 4)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=240)
    assert time.monotonic() - began < 40, "the files would have taken two minutes"
    assert "KeyboardInterrupt" in stderr
    assert sorted({path.suffix for path in tmp_path.iterdir()}) == [".json", ".part"]
