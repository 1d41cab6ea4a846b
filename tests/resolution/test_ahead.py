"""Pages and metadata that the search will ask for are read at once, level by level, and never a whole wheel."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from made_environment import make_env
from package_web import Web
from resolution.made_catalog import make_installed, wants
from tiny_wheels import write_wheel

from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.index.sources import PackageSources
from mimctl.resolution import ahead
from mimctl.resolution.catalog import IndexCatalog
from mimctl.resolution.resolve import resolve
from mimctl.transfer import TransferSettings

NUM_AT_ONCE = 8
"""Answers that a command waits for at the same time, at most."""


ROUNDS = [1, 1, *[NUM_AT_ONCE] * 4]
"""Of how many answers each wait consists where an index is searched three levels deep."""


class Gate:
    """Answers in rounds: as many as are expected are let through together, with those that come in the same moment.

    Fewer are let through only where no further one has come for half a minute.
    """

    def __init__(self, web: Web, expected: Sequence[int]) -> None:
        self.rounds: list[list[str]] = []
        self._expected = [*expected]
        self._waiting: list[tuple[str, threading.Event]] = []
        self._guard = threading.Lock()
        self._is_open = threading.Event()
        handler = web._http.RequestHandlerClass
        answer = handler.do_GET

        def wait_and_answer(request) -> None:
            mine = threading.Event()
            with self._guard:
                self._waiting.append((request.path, mine))
            mine.wait(240)
            answer(request)

        handler.do_GET = wait_and_answer
        threading.Thread(target=self._let_through, daemon=True).start()

    def close(self) -> None:
        self._is_open.set()

    def _let_through(self) -> None:
        num_seen, since = 0, time.monotonic()
        while not self._is_open.wait(0.1):
            with self._guard:
                if not self._waiting or len(self._waiting) != num_seen:
                    num_seen, since = len(self._waiting), time.monotonic()
                    continue
                wanted = self._expected[len(self.rounds)] if len(self.rounds) < len(self._expected) else 1
                if num_seen < wanted and time.monotonic() - since < 30:
                    continue
                let, self._waiting, num_seen = self._waiting, [], 0
            self.rounds.append(sorted(path for path, _ in let))
            for _, each in let:
                each.set()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.fixture
def gate(web) -> Iterator[Gate]:
    opened = Gate(web, ROUNDS)
    yield opened
    opened.close()


def publish(web: Web, folder: Path, text: str, *requires: str, beside: bool = True) -> None:
    """Put a wheel of `name version` on the index; `beside`: with the document of PEP 658."""
    name, version = text.split()
    metadata = "".join(f"Requires-Dist: {each}\n" for each in requires)
    wheel = write_wheel(folder, f"{name}-{version}-py3-none-any.whl", metadata=metadata)
    web.add(wheel, metadata=f"Name: {name}\nVersion: {version}\n{metadata}".encode() if beside else None)


def search(web: Web, folder: Path, *texts: str, installed=None, retries: int = 0):
    transfer = TransferSettings(retries=retries, timeout_s=30, backoff_s=0.01)
    catalog = IndexCatalog(
        client=IndexClient((), transfer, folder / "cache"),
        sources=PackageSources(index_url=f"{web.address}/simple"),
        transfer=transfer,
        cache_dir=folder / "cache",
    )
    found = resolve(wants(*texts), env=make_env(torch=None), catalog=catalog, installed=installed or make_installed())
    return {name: pick.version for name, pick in found.picks.items()}


@pytest.mark.parametrize("beside", [True, False])
def test_a_slow_index_is_waited_for_as_often_as_requirements_are_nested(web, gate, tmp_path, beside):
    """top → 8 of one level → 1 of the next for each of them: 17 projects, 34 answers, six waits."""
    publish(web, tmp_path, "top 1.0", *(f"mid{number}" for number in range(NUM_AT_ONCE)), beside=beside)
    for number in range(NUM_AT_ONCE):
        publish(web, tmp_path, f"mid{number} 1.0", f"leaf{number}", beside=beside)
        publish(web, tmp_path, f"leaf{number} 1.0", beside=beside)
    assert len(search(web, tmp_path, "top")) == 1 + 2 * NUM_AT_ONCE
    assert [len(each) for each in gate.rounds] == ROUNDS
    kinds = [{path.split("/")[2].rstrip("0123456789") for path in each} for each in gate.rounds]
    assert kinds == [{"top"}, {"files"}, {"mid"}, {"files"}, {"leaf"}, {"files"}]
    assert not [path for status, path, _ in web.answers if path.endswith(".whl") and status != 206]


def test_the_version_that_is_read_ahead_is_the_one_that_all_of_a_level_leave(web, tmp_path):
    publish(web, tmp_path, "top 1.0", "one", "two", "both>=1", "both<3")
    for version in ("1.0", "2.0", "3.0"):
        publish(web, tmp_path, f"both {version}")
    for name in ("one", "two"):
        publish(web, tmp_path, f"{name} 1.0")
    assert search(web, tmp_path, "top")["both"] == "2.0"
    read = [path for path in web.asked if path.endswith(".metadata")]
    assert "/simple/files/both-2.0-py3-none-any.whl.metadata" in read
    assert len(read) == len(set(read)) == 4


def test_what_is_installed_and_stays_is_not_asked_for(web, tmp_path):
    publish(web, tmp_path, "top 1.0", "one", "two", "there")
    for name in ("one", "two"):
        publish(web, tmp_path, f"{name} 1.0", "there>=1")
    publish(web, tmp_path, "there 2.0")
    assert search(web, tmp_path, "top", installed=make_installed(there="1.5"))["there"] == "1.5"
    assert not [path for path in web.asked if "there" in path]


def test_no_whole_wheel_is_fetched_for_a_guess(web, tmp_path):
    """The server gives no pieces. `other` 2.0 is the guess, until what `main` requires is known."""
    web.knows_ranges = False
    publish(web, tmp_path, "main 1.0", "other<2", beside=False)
    for version in ("1.0", "2.0"):
        publish(web, tmp_path, f"other {version}", beside=False)
    assert search(web, tmp_path, "main", "other") == {"main": "1.0", "other": "1.0"}
    whole = [path.rpartition("/")[2] for _, path, span in web.answers if path.endswith(".whl") and span is None]
    assert whole == ["main-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_fault_of_what_nobody_needs_in_the_end_is_not_told(web, tmp_path, status):
    publish(web, tmp_path, "main 1.0", "other<2")
    for version in ("1.0", "2.0"):
        publish(web, tmp_path, f"other {version}")
    address = "/simple/files/other-2.0-py3-none-any.whl.metadata"
    web.statuses[address] = status
    assert search(web, tmp_path, "main", "other", retries=3) == {"main": "1.0", "other": "1.0"}
    assert web.asked.count(address) == 1


def test_a_fault_is_told_as_ever_when_the_thing_itself_is_asked_for(web, tmp_path):
    """A guess tries once; who really asks is as patient as always, and says so."""
    publish(web, tmp_path, "one 1.0")
    publish(web, tmp_path, "two 1.0")
    address = "/simple/files/one-1.0-py3-none-any.whl.metadata"
    web.statuses[address] = 500
    with pytest.raises(MimctlError) as caught:
        search(web, tmp_path, "one", "two", retries=2)
    assert caught.value.code == "network"
    assert "3 tries" in " ".join((caught.value.message, *caught.value.causes))
    assert web.asked.count(address) == 1 + 3


def test_an_index_that_invents_names_is_not_followed_without_end(web, tmp_path, monkeypatch):
    """Each project requires two that nobody has heard of; the search ends at the first that is not there."""
    monkeypatch.setattr(ahead, "_MOST_NAMES", 30)
    for level in range(7):
        for number in range(2**level):
            publish(web, tmp_path, f"x{level}n{number} 1.0", *(f"x{level + 1}n{2 * number + side}" for side in (0, 1)))
    with pytest.raises(MimctlError) as caught:
        search(web, tmp_path, "x0n0")
    assert caught.value.code == "not-in-index"
    assert len({path for path in web.asked if not path.endswith(".metadata")}) < 200  # of 255
