"""Made machines: trees of files in the place of /, commands in the place of a driver's."""

from __future__ import annotations

from pathlib import Path

import pytest


class Machine:
    """A folder that stands for /, with a folder of commands that PATH names."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.commands = folder / "commands"
        self.root.mkdir()
        self.commands.mkdir()

    @property
    def environ(self) -> dict[str, str]:
        """Return variables in which PATH leads to the made commands and to a shell."""
        return {"PATH": f"{self.commands}:/usr/bin:/bin"}

    def write(self, name: str, text: str = "") -> Path:
        """Write a file below /."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def command(self, name: str, script: str, *, at: Path | None = None) -> Path:
        """Write a shell script that is found on PATH, or lies at a place of its own."""
        path = at or self.commands / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def smi(self, *gpus: str, driver: str = "580.65.06", at: Path | None = None, listing: str = "") -> Path:
        """Write an nvidia-smi that answers as the real one; a GPU is `capability, MiB, mode of MIG, name`."""
        lines = []
        for index, gpu in enumerate(gpus):
            capability, rest = gpu.split(", ", 1)
            lines.append(f"{index}, GPU-{index}aaa, {driver}, {capability}, {rest}")
        text = "\n".join(lines)
        script = f"""case "$1" in
-L) cat <<'END'\n{listing}\nEND\n;;
*compute_cap*) cat <<'END'\n{text}\nEND\n;;
esac"""
        return self.command("nvidia-smi", script, at=at)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine without anything."""
    return Machine(tmp_path)
