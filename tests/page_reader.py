"""Somebody who types the commands of a page of the documentation, one after the other, as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from login_node import TOY, VALIDATION, Login

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 300

WITHOUT_GPUS = {
    "--gpus 16 --gpus-per-node 4": "--gpus 0 --procs 4 --nodes 2",
    "--gpus 16": "--gpus 0 --procs 2 --nodes 2",
    "--gpus 8": "--gpus 0 --procs 2",
    "--gpus 4": "--gpus 0 --procs 2",
    "--gpus 2": "--gpus 0 --procs 2",
    "--gpus 1": "--gpus 0",
    "--partition gpu": "--partition low",
    "-p gpu": "-p low",
}
"""What is typed in the place of a page's words: processes on the CPU stand for GPUs, `mini_slurm` for a cluster."""

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_TESTED = """
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=4)
"""


class Reader:
    """A reader at a desk, with `my.py`, a small experiment, in the folder.

    `stands_for` says which words are typed in the place of others. What a test expects of a command is said where it is
    typed; `left` holds those not typed yet.
    """

    def __init__(self, page: str, login: Login, stands_for: Mapping[str, str] = WITHOUT_GPUS) -> None:
        self.left = commands_of(page)
        self.folder = login.folder
        self.stands_for = dict(stands_for)
        self.environment = {**login.environment, "PATH": f"{_programs(login.folder)}:{login.environment['PATH']}"}
        self._exports: list[str] = []
        (login.folder / "my.py").write_text(TOY + VALIDATION + _TESTED)

    def types(self, beginning: str, *, code: int = 0) -> str:
        """Type the page's next command, which begins so, and return what it printed, data and notes."""
        line = self._next(beginning)
        done = subprocess.run(
            self._shell(line),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == code, f"{line}\n{done.stdout}"
        if line.startswith("export "):
            self._exports.append(line)
        return done.stdout

    def begins(self, beginning: str) -> subprocess.Popen[str]:
        """Type the page's next command, which begins so and goes on for a while."""
        return subprocess.Popen(
            self._shell(self._next(beginning)),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _next(self, beginning: str) -> str:
        assert self.left, f"the page has no further command, `{beginning}` was expected"
        line = self.left.pop(0)
        assert line.startswith(beginning), f"the page says `{line}`, `{beginning}` was expected"
        return line

    def _shell(self, line: str) -> list[str]:
        return ["bash", "-c", stood_in("\n".join([*self._exports, line]), self.stands_for)]


def stood_in(text: str, stands_for: Mapping[str, str]) -> str:
    """Return a text with words in the place of others, in the order of the table."""
    for words, others in stands_for.items():
        text = text.replace(words, others)
    return text


def commands_of(page: str) -> list[str]:
    """Return the lines of a how-to page's shell blocks, continued ones joined, without comments.

    A block of a language (`text`, `toml`) is no shell block.
    """
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    blocks = [block["text"] for block in _BLOCK.finditer(text) if not block["language"]]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if shlex.split(line, comments=True)]


def _programs(folder: Path) -> Path:
    """Return a folder of programs in which `mimctl` is the one under test."""
    place = folder / "programs"
    place.mkdir()
    path = place / "mimctl"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m mimctl "$@"\n')
    path.chmod(0o755)
    return place
