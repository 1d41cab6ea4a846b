"""`download` against a server that cuts, lies, stalls and changes its mind; `test_faults` has the table of all that."""

from __future__ import annotations

import email.utils
import hashlib
import os
import queue
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

from mimctl.errors import IntegrityError, MimctlError, NetworkError, UsageError, render
from mimctl.transfer import TransferSettings, download
from tests.transfer.faults import busy_until

BODY = random.Random(0).randbytes(700_001)
SHA = hashlib.sha256(BODY).hexdigest()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file_server(server: Any) -> Any:
    server.files["/weights.pth"] = BODY
    return server


def url_of(server: Any) -> str:
    return str(server.address) + "/weights.pth"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download_leaves_only_the_whole_file(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    seen: list[tuple[int, int | None]] = []
    dest = download(
        url_of(file_server), tmp_path / "new" / "w.pth", sha256=SHA, settings=quick, progress=lambda *a: seen.append(a)
    )
    assert dest.read_bytes() == BODY
    assert names_in(dest.parent) == ["w.pth"]
    assert seen[-1] == (len(BODY), len(BODY))


def test_download_again_asks_nobody_when_the_hash_is_right(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    for _ in range(2):
        download(url_of(file_server), tmp_path / "w.pth", sha256_prefix=SHA[:8], settings=quick)
    assert len(file_server.requests) == 1


def test_download_cut_at_random_bytes_is_resumed(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    file_server.cuts = [random.Random(1).randrange(1, 150_000) for _ in range(6)]
    dest = download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert dest.read_bytes() == BODY
    assert file_server.num_body_bytes < len(BODY) * 1.2, "bytes that were there were fetched again"
    assert all("range" in request and "if-range" in request for request in file_server.requests[1:])


def test_next_run_resumes_what_the_last_one_left(file_server: Any, tmp_path: Path) -> None:
    once = TransferSettings(timeout_s=30, retries=0)
    file_server.cuts = [300_000]
    with pytest.raises(NetworkError, match="cannot fetch"):
        download(url_of(file_server), tmp_path / "w.pth", settings=once)
    assert names_in(tmp_path) == ["w.pth.part", "w.pth.part.json"]
    left = (tmp_path / "w.pth.part").stat().st_size
    download(url_of(file_server), tmp_path / "w.pth", settings=once)
    assert (tmp_path / "w.pth").read_bytes() == BODY
    assert file_server.requests[-1]["range"] == f"bytes={left}-"
    assert names_in(tmp_path) == ["w.pth"]


def test_download_starts_anew_when_the_file_changed_between_tries(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.cuts = [200_000]
    changed = random.Random(2).randbytes(500_000)

    def change(_handler: object) -> bool:
        file_server.files["/weights.pth"] = changed
        return False

    file_server.will_serve()
    file_server.faults.append(change)
    download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == changed


def test_download_without_validators_is_never_spliced(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.has_validators = False
    file_server.cuts = [200_000]
    download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == BODY
    assert "range" not in file_server.requests[1]


@pytest.mark.parametrize(("age_s", "is_continued"), [(0, False), (86_400, True), (-3600, False)])
def test_a_date_tells_contents_apart_only_when_it_is_past(
    file_server: Any, tmp_path: Path, quick: TransferSettings, age_s: float, is_continued: bool
) -> None:
    """By the server's clock: a file may change twice in a second."""
    date = email.utils.formatdate(time.time() - age_s, usegmt=True)
    file_server.headers["/weights.pth"] = {"Last-Modified": date}
    file_server.has_validators = False
    file_server.cuts = [200_000]
    download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == BODY
    assert file_server.requests[1].get("if-range") == (date if is_continued else None)


def test_a_rest_of_another_date_is_not_joined(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    dates = [email.utils.formatdate(time.time() - age_s, usegmt=True) for age_s in (90_000, 86_400)]
    file_server.headers["/weights.pth"] = {"Last-Modified": dates[0]}
    file_server.has_validators = False
    file_server.cuts = [200_000]
    rest = f"bytes 200000-{len(BODY) - 1}/{len(BODY)}"
    file_server.will_serve()
    file_server.will_answer(206, bytes(len(BODY) - 200_000), Content_Range=rest, Last_Modified=dates[1])
    download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_download_spliced_wrongly_is_fetched_anew_once(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.has_validators = False
    file_server.cuts = [200_000]
    file_server.files["/weights.pth"] = bytes(len(BODY))

    def change(_handler: object) -> bool:
        file_server.files["/weights.pth"] = BODY
        return False

    file_server.will_serve()
    file_server.faults.append(change)
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_server_without_ranges_is_read_from_the_start(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.knows_ranges = False
    file_server.cuts = [200_000]
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_server_that_always_cuts_at_one_place_is_given_up(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.knows_ranges = False
    file_server.cuts = [200_000] * 50
    with pytest.raises(NetworkError, match="cannot fetch"):
        download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert len(file_server.requests) < 10


def test_file_without_a_length_is_read_to_its_end(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    file_server.says_length = False
    seen: list[tuple[int, int | None]] = []
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick, progress=lambda *a: seen.append(a))
    assert seen[-1] == (len(BODY), None)


def test_wrong_hash_is_refused_and_nothing_is_kept(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    with pytest.raises(IntegrityError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", sha256_prefix="0123abcd", settings=quick)
    assert caught.value.code == "hash-mismatch"
    assert "0123abcd" in render(caught.value)
    assert SHA in render(caught.value)
    assert names_in(tmp_path) == []


def test_wrong_hash_leaves_the_old_file_as_it_was(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    (tmp_path / "w.pth").write_bytes(b"old")
    with pytest.raises(IntegrityError):
        download(url_of(file_server), tmp_path / "w.pth", sha256="0" * 64, settings=quick)
    assert (tmp_path / "w.pth").read_bytes() == b"old"


def test_wrong_length_is_refused_before_the_body_is_read(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    with pytest.raises(IntegrityError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", size=len(BODY) + 1, settings=quick)
    assert caught.value.code == "length-mismatch"
    assert names_in(tmp_path) == []


def test_missing_file_is_an_error_and_its_page_is_not_saved(
    server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    with pytest.raises(MimctlError) as caught:
        download(server.address + "/gone.pth", tmp_path / "w.pth", settings=quick)
    assert (caught.value.code, caught.value.exit_code) == ("http-status", 1)
    assert "/gone.pth" in str(caught.value)
    assert len(server.requests) == 1
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_passing_faults_of_the_server_are_tried_again(
    file_server: Any, tmp_path: Path, quick: TransferSettings, status: int
) -> None:
    file_server.will_answer(status, b"<html>sorry</html>")
    notes: list[str] = []
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick, note=notes.append)
    assert len(file_server.requests) == 2
    assert str(status) in notes[0]


def test_server_that_stays_broken_is_a_network_error(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    for _ in range(10):
        file_server.will_answer(503)
    with pytest.raises(NetworkError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert caught.value.exit_code == 4
    assert "503" in render(caught.value)
    assert len(file_server.requests) == 1 + quick.retries


@pytest.mark.parametrize("as_date", [False, True])
def test_too_many_requests_waits_as_long_as_asked(
    file_server: Any, tmp_path: Path, quick: TransferSettings, as_date: bool
) -> None:
    if as_date:
        file_server.faults.append(busy_until(3))
    else:
        file_server.will_answer(429, Retry_After="1")
    began = time.monotonic()
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=TransferSettings(max_wait_s=6))
    assert time.monotonic() - began > 0.8


def test_too_long_a_wait_is_an_error_that_says_how_long(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.will_answer(429, Retry_After="3600")
    with pytest.raises(NetworkError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert "3600 s" in render(caught.value)


def test_stalled_transfer_is_tried_again(file_server: Any, tmp_path: Path, impatient: TransferSettings) -> None:
    file_server.will_stall(1.2)
    notes: list[str] = []
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=impatient, note=notes.append)
    assert "stalled" in notes[0]


def test_redirects_are_followed(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    file_server.will_answer(302, Location="/other")
    file_server.will_answer(307, Location=url_of(file_server))
    found = download(file_server.address + "/start", tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert found.read_bytes() == BODY
    assert [each["path"] for each in file_server.requests][:2] == ["/start", "/other"]


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://[fe80::1]/"],
)
def test_redirect_to_the_metadata_service_is_refused(
    file_server: Any, tmp_path: Path, quick: TransferSettings, location: str
) -> None:
    file_server.will_answer(302, Location=location)
    with pytest.raises(MimctlError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert caught.value.code == "unsafe-address"


def test_metadata_address_that_no_person_typed_is_refused(tmp_path: Path, quick: TransferSettings) -> None:
    with pytest.raises(MimctlError) as caught:
        download("http://169.254.169.254/x", tmp_path / "w.pth", settings=quick, named_by="")
    assert caught.value.code == "unsafe-address"


def test_nobody_at_the_address_is_a_network_error_in_plain_words(tmp_path: Path, quick: TransferSettings) -> None:
    with pytest.raises(NetworkError) as caught:
        download("http://127.0.0.1:9/w.pth", tmp_path / "w.pth", settings=quick)
    assert "connection refused" in render(caught.value)
    assert names_in(tmp_path) == []


def test_secrets_in_an_address_are_never_shown(file_server: Any, tmp_path: Path) -> None:
    settings = TransferSettings(retries=0, timeout_s=30)
    host = file_server.address.removeprefix("http://")
    for address in (f"http://me:pa55@{host}/gone?token=t0ken", "http://me:pa55@127.0.0.1:9/x?token=t0ken"):
        with pytest.raises(MimctlError) as caught:
            download(address, tmp_path / "w.pth", settings=settings)
        shown = render(caught.value) + repr(caught.value.__cause__ if caught.value.__cause__ else "")
        assert "pa55" not in shown
        assert "t0ken" not in shown
    assert file_server.requests[0]["authorization"].startswith("Basic ")
    assert all("t0ken" not in path.read_text() for path in tmp_path.glob("*.json"))


def test_redirect_to_another_host_carries_no_credentials(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    port = file_server.address.rpartition(":")[2]
    file_server.will_answer(302, Location=f"http://localhost:{port}/weights.pth")
    download(f"http://me:pa55@127.0.0.1:{port}/start", tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert "authorization" in file_server.requests[0]
    assert "authorization" not in file_server.requests[1]


def test_credentials_are_read_from_netrc(
    file_server: Any, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pa55\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert file_server.requests[0]["authorization"].startswith("Basic ")


def test_proxy_of_the_environment_is_used(
    file_server: Any, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", file_server.address)
    file_server.files["http://127.0.0.2:9/w.pth"] = BODY
    download("http://127.0.0.2:9/w.pth", tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert file_server.requests[0]["path"] == "http://127.0.0.2:9/w.pth"


def test_server_that_speaks_no_tls_is_not_asked_again(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    began = time.monotonic()
    with pytest.raises(NetworkError) as caught:
        download(url_of(file_server).replace("http:", "https:"), tmp_path / "w.pth", settings=quick)
    assert "TLS" in render(caught.value)
    assert time.monotonic() - began < 60


def test_offline_asks_nobody(file_server: Any, tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", settings=TransferSettings(offline=True))
    assert (caught.value.code, caught.value.exit_code) == ("offline", 4)
    assert file_server.requests == []


def test_paths_and_file_addresses_are_copied_offline_too(tmp_path: Path) -> None:
    source = tmp_path / "ünd spaces.pth"
    source.write_bytes(BODY)
    settings = TransferSettings(offline=True)
    for number, address in enumerate((str(source), source.as_uri())):
        dest = download(address, tmp_path / f"{number}.pth", sha256=SHA, settings=settings)
        assert dest.read_bytes() == BODY
    with pytest.raises(IntegrityError):
        download(str(source), tmp_path / "bad.pth", sha256="0" * 64)
    with pytest.raises(MimctlError) as caught:
        download(str(tmp_path / "absent"), tmp_path / "bad.pth")
    assert caught.value.code == "missing-file"
    assert names_in(tmp_path) == ["0.pth", "1.pth", source.name]


@pytest.mark.parametrize("address", ["ftp://host/x", "http://", "http://host:port/x", "file://other/x", "hf://o/r"])
def test_addresses_that_cannot_be_fetched_are_usage_errors(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError) as caught:
        download(address, tmp_path / "w.pth")
    assert caught.value.code == "bad-url"
    assert names_in(tmp_path) == []


def test_partial_file_laid_as_a_link_is_not_followed(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "w.pth.part").symlink_to(victim)
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert victim.read_bytes() == b"mine"


def test_a_body_longer_than_the_file_is_cut_off(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    file_server.says_length = False
    file_server.files["/endless"] = b"x" * (64 << 20)
    with pytest.raises(IntegrityError) as caught:
        download(f"{file_server.address}/endless", tmp_path / "w.pth", size=1000, settings=quick)
    assert caught.value.code == "length-mismatch"
    assert file_server.num_body_bytes < 64 << 20
    assert names_in(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small tmpfs")
def test_full_disk_is_one_clear_error(file_server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for says_length in (True, False):
            file_server.says_length = says_length
            with pytest.raises(MimctlError) as caught:
                download(url_of(file_server), small / "w.pth", sha256=SHA, settings=quick)
            assert caught.value.code == "disk-full"
            assert names_in(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_folder_that_cannot_be_written_is_one_clear_error(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MimctlError) as caught:
        download(url_of(file_server), tmp_path / "file" / "w.pth", settings=quick)
    assert caught.value.code == "cannot-write"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_one_clear_error(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MimctlError) as caught:
        download(url_of(file_server), tmp_path / "w.pth", settings=quick)
    assert caught.value.code == "no-permission"


SCRIPT = """
import sys
from pathlib import Path
from mimctl.transfer import TransferSettings, download
tell = lambda note: print(note, flush=True)
download(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], note=tell, settings=TransferSettings(timeout_s=120))
"""


def start_process(server: Any, dest: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", SCRIPT, url_of(server), str(dest), SHA]
    return subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_bytes(path: Path, least: int) -> None:
    wait_until(lambda: path.is_file() and path.stat().st_size >= least)


def test_two_processes_fetch_one_file_once(file_server: Any, tmp_path: Path) -> None:
    both_are_there = threading.Event()
    file_server.faults.append(lambda _handler: not both_are_there.wait(100))
    first, second = (start_process(file_server, tmp_path / "w.pth") for _ in range(2))
    told = queue.SimpleQueue[str]()
    for process in (first, second):
        threading.Thread(target=lambda stream: told.put(stream.readline()), args=(process.stdout,), daemon=True).start()
    assert "waiting for process" in told.get(timeout=100)
    both_are_there.set()
    outcomes = [(process.communicate(timeout=240), process.returncode) for process in (first, second)]
    assert [code for _, code in outcomes] == [0, 0], outcomes
    assert len(file_server.requests) == 1
    assert names_in(tmp_path) == ["w.pth"]


def test_ctrl_c_keeps_the_part_and_the_next_run_resumes(
    file_server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    file_server.chunk_delay_s = 0.02
    process = start_process(file_server, tmp_path / "w.pth")
    wait_for_bytes(tmp_path / "w.pth.part", 65536)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in stderr
    assert names_in(tmp_path) == ["w.pth.part", "w.pth.part.json"]
    file_server.chunk_delay_s = 0
    download(url_of(file_server), tmp_path / "w.pth", sha256=SHA, settings=quick)
    assert "range" in file_server.requests[-1]
    assert names_in(tmp_path) == ["w.pth"]
