"""A revision of a git repository as a folder, by git itself as a child process."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from mimctl.errors import MimctlError, NetworkError
from mimctl.installer.asking.words import Placed
from mimctl.installer.backends.process import Note

_SILENT = ("could not resolve host", "failed to connect", "connection refused", "timed out", "unable to access")
_LAST_LINES = 4


def checked_out(place: Placed, folder: Path, *, offline: bool = False, note: Note | None = None) -> Path:
    """Fetch a repository with its submodules and return `folder`, at the revision asked for or the default branch.

    All revisions are there, their files as far as they are needed: versions are made of tags. Raises
    MimctlError[repository] where git fails, NetworkError where the host does not answer, or offline.
    """
    if offline and not place.address.startswith("file:"):
        raise NetworkError(
            f"offline, and `{place.shown}` has to be fetched",
            code="offline",
            hints=["leave out `--offline`, or give the folder of a clone: `./FOLDER`"],
        )
    if note is not None:
        note(f"Cloning {place.shown}")
    git = _Git(place)
    git.run("clone", "--quiet", "--no-checkout", "--filter=blob:none", "--", place.address, str(folder))
    inside = ("-C", str(folder))
    revision = place.revision or "HEAD"
    commit = next((found for name in (f"origin/{revision}", revision) if (found := git.commit(folder, name))), None)
    if commit is None:
        git.run(*inside, "fetch", "--quiet", "--", "origin", revision)
        commit = "FETCH_HEAD"
    git.run(*inside, "checkout", "--quiet", "--detach", commit)
    if (folder / ".gitmodules").is_file():
        git.run(*inside, "submodule", "update", "--quiet", "--init", "--recursive")
    return folder


def commit_of(folder: Path) -> str | None:
    """Return the commit that a folder of a checked-out repository is at."""
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else None


class _Git:
    """Runs git for one place; nothing is asked for, and no secret of its address is shown."""

    def __init__(self, place: Placed) -> None:
        self._place = place
        self._environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            self._environ.pop(name, None)

    def run(self, *arguments: str) -> None:
        """Run git; raise where it fails."""
        code, said = self._call(arguments)
        if code != 0:
            raise self._failed(said)

    def commit(self, folder: Path, name: str) -> str | None:
        """Return the commit that a name stands for."""
        code, said = self._call(("-C", str(folder), "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"))
        return said.strip() if code == 0 else None

    def _call(self, arguments: tuple[str, ...]) -> tuple[int, str]:
        try:
            done = subprocess.run(
                ["git", *arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as err:
            raise MimctlError(
                "git is not there",
                code="repository",
                causes=[f"`{self._place.shown}` is a repository", str(err)],
                hints=["install git, or name a source archive of the project"],
            ) from err
        return done.returncode, done.stdout

    def _failed(self, said: str) -> MimctlError:
        lines = [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]
        causes = [re.sub(r"//[^/@\s]+@", "//***@", line) for line in lines]
        if any(word in said.lower() for word in _SILENT):
            return NetworkError(f"cannot fetch `{self._place.shown}`: its host does not answer", causes=causes)
        return MimctlError(
            f"cannot fetch `{self._place.shown}`",
            code="repository",
            causes=causes,
            hints=["check address and revision: `git ls-remote ADDRESS`"],
        )
