"""Fetch several files at once; the first that fails ends the others, and what they have is resumed the next time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from mimctl.transfer.fetch import download
from mimctl.transfer.http.connection import Line, StoppedError
from mimctl.transfer.model import FileProgress, Job, Note, Progress, TransferSettings

_POLL_S = 0.1
_DEFAULT = TransferSettings()


def download_all(
    jobs: Sequence[Job],
    *,
    settings: TransferSettings = _DEFAULT,
    progress: Progress | None = None,
    file_progress: FileProgress | None = None,
    note: Note | None = None,
    max_parallel: int = 4,
) -> list[Path]:
    """Fetch files as `download` does, `max_parallel` at a time, and return where each lies, in the order of `jobs`.

    Jobs with one `dest` are fetched once. `progress` is told the bytes of all files together (the total is None until
    the length of each is known), `file_progress` those of each file by its name; neither is called by two threads at
    once. The first failure, and Ctrl-C, end the others at once; partial files stay, to be resumed.
    Raises what `download` raises of the file that failed first, and ValueError where jobs with one `dest` differ.
    """
    waiting = _by_dest(jobs)
    if waiting:
        _Stage(list(waiting.values()), settings, progress, file_progress, note).run(max_parallel)
    return [Path(job.dest) for job in jobs]


def _by_dest(jobs: Sequence[Job]) -> dict[Path, Job]:
    found: dict[Path, Job] = {}
    for job in jobs:
        same = found.setdefault(job.dest, job)
        if (same.sha256, same.size) != (job.sha256, job.size) or (job.sha256 is None and same.url != job.url):
            raise ValueError(f"two different files for {job.dest}")
    return found


class _Stage:
    """Threads that take jobs from one queue, each with a line of its own."""

    def __init__(
        self,
        jobs: Sequence[Job],
        settings: TransferSettings,
        progress: Progress | None,
        file_progress: FileProgress | None,
        note: Note | None,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._file_progress = file_progress
        self._note = note
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lines: list[Line] = []
        self._failure: BaseException | None = None
        self._bytes: dict[Path, tuple[int, int | None]] = {job.dest: (0, job.size) for job in jobs}
        for job in jobs:
            self._waiting.put(job)

    def run(self, max_parallel: int) -> None:
        """Fetch all; raise the first failure."""
        num_threads = max(1, min(max_parallel, len(self._bytes)))
        self._lines = [Line(self._settings) for _ in range(num_threads)]
        threads = [
            threading.Thread(target=self._work, args=(each,), name=f"mimctl-fetch-{number}", daemon=True)
            for number, each in enumerate(self._lines)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_S)  # in short waits, so that Ctrl-C is seen
        finally:
            self._stop()
            for thread, opened in zip(threads, self._lines, strict=True):
                thread.join()
                opened.close()
        if self._failure is not None:
            raise self._failure

    def _work(self, opened: Line) -> None:
        while not opened.is_cut:
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._fetch(job, opened)
            except StoppedError:
                return
            except BaseException as failure:  # carried to the thread that waits
                with self._lock:
                    self._failure = self._failure or failure
                self._stop()
                return

    def _fetch(self, job: Job, opened: Line) -> None:
        download(
            job.url,
            job.dest,
            sha256=job.sha256,
            size=job.size,
            settings=self._settings,
            progress=lambda done, total: self._tell(job, done, total),
            note=self._say if self._note is not None else None,
            named_by=job.named_by,
            opened=opened,
        )
        size = job.dest.stat().st_size
        self._tell(job, size, size)

    def _stop(self) -> None:
        for each in self._lines:
            each.hang_up()

    def _say(self, text: str) -> None:
        with self._lock:
            if self._note is not None:
                self._note(text)

    def _tell(self, job: Job, done: int, total: int | None) -> None:
        with self._lock:
            known = total if total is not None else self._bytes[job.dest][1]
            if self._bytes[job.dest] == (done, known) and done:
                return
            self._bytes[job.dest] = (done, known)
            if self._file_progress is not None:
                self._file_progress(job.dest.name, done, known)
            if self._progress is not None:
                sizes = [size for _, size in self._bytes.values()]
                whole = None if None in sizes else sum(size for size in sizes if size is not None)
                self._progress(sum(each for each, _ in self._bytes.values()), whole)
