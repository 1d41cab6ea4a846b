"""Find runs: by id, name, path, Slurm's number, or `last`. The book is a folder of small files, id → place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.errors import UsageError, did_you_mean, nearest
from mimctl.files import write_text
from mimctl.launch.runs.files import EXIT_CODE

if TYPE_CHECKING:
    from mimctl.launch.runs.record import RunRecord

KEPT_RUNS = 500
"""So many runs stay in the book; the folders of older ones are found by their path still."""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


class RunBook:
    """The runs that this user has started, wherever that was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def scripts_dir(self) -> Path:
        """Return where runs lie that have no folder among the user's own: scripts that ran on this machine."""
        return self.folder.with_name("scripts")

    def new_id(self) -> str:
        """Return an id that no run of the book has: six letters and digits that are not mixed up when read aloud."""
        import secrets

        while True:
            found = secrets.choice(_LETTERS[:23]) + "".join(secrets.choice(_LETTERS) for _ in range(5))
            if not (self.folder / found).exists():
                return found

    def add(self, record: RunRecord) -> None:
        """Write a run down, in its own folder and in the book."""
        record.write()
        write_text(self.folder / record.run_id, f"{record.run_dir}\n")
        self._forget_oldest()

    def runs(self) -> list[RunRecord]:
        """Return the runs whose folders are still there, newest first."""
        return sorted(self._known(), key=lambda record: record.started, reverse=True)

    def find(self, word: str) -> RunRecord:
        """Return the run that a person means; raise UsageError[unknown-run] with the nearest names.

        Tried in turn: `last`, an id or its beginning, Slurm's number, a path (of a run or of its work dir), a name
        (of several runs with one name the newest).
        """
        runs = self.runs()
        if word == "last":
            if runs:
                return runs[0]
            raise UsageError("no run was started yet", code="unknown-run")
        matches = [each for each in runs if word in (each.run_id, each.job_id)]
        matches = matches or [each for each in runs if len(word) >= 3 and each.run_id.startswith(word)]
        if len(matches) > 1:
            ids = ", ".join(f"`{each.run_id}`" for each in matches[:6])
            raise UsageError(f"`{word}` may mean several runs", code="unknown-run", causes=[ids])
        found = matches[0] if matches else _at(Path(word).expanduser())
        found = found or next((each for each in runs if each.name == word), None)
        if found is not None:
            return found
        near = nearest(word, {name for each in runs for name in (each.run_id, each.name)})
        raise UsageError(
            f"there is no run `{word}`",
            code="unknown-run",
            hints=[*did_you_mean(near), "see them all: `mimctl status`"],
        )

    def _known(self) -> Iterator[RunRecord]:
        from mimctl.launch.runs.record import read_record

        for path in self._entries():
            place = path.read_text(encoding="utf-8").strip()
            record = read_record(Path(place))
            if record is not None and record.run_id == path.name:
                yield record

    def _entries(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []

    def _forget_oldest(self) -> None:
        entries = self._entries()
        if len(entries) > KEPT_RUNS:
            for path in sorted(entries, key=lambda path: path.stat().st_mtime)[: len(entries) - KEPT_RUNS]:
                place = Path(path.read_text(encoding="utf-8").strip())
                path.unlink(missing_ok=True)
                if place.parent == self.scripts_dir and (place / EXIT_CODE).exists():
                    shutil.rmtree(place, ignore_errors=True)


def _at(path: Path) -> RunRecord | None:
    """Return the run of a folder: the folder's own, else the newest one below it (a work dir)."""
    from mimctl.launch.runs.record import read_record

    if not path.is_dir():
        return None
    own = read_record(path)
    if own is not None:
        return own
    below = [record for each in path.iterdir() if each.is_dir() and (record := read_record(each)) is not None]
    return max(below, key=lambda record: record.started, default=None)
