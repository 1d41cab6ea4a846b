"""pip as a child process: `python -m pip` of the target environment."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.index.sources import PackageSources, read_sources
from mimctl.installer.backends.environ import building_environ, pip_variables, placing_environ
from mimctl.installer.backends.process import Note, run_installer
from mimctl.installer.backends.staged import Staged, named, staged_lines

_PLACING = (
    "--no-deps",
    "--no-index",
    "--no-user",
    "--force-reinstall",
    "--no-compile",
    "--only-binary=:all:",
    "--require-hashes",
    "--no-warn-script-location",
    "--progress-bar=off",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipBackend:
    """`python -m pip` of the target environment."""

    python: Path
    version: str
    environ: Mapping[str, str]
    prefix: Path | None = None
    """Of the target: an environment may have a `pip.conf` of its own."""
    sources: PackageSources | None = None
    """Where builds get what they require; read from the person's configuration when one begins where it is None."""
    offline: bool = False

    @property
    def label(self) -> str:
        """Return name and version."""
        return f"pip {self.version}"

    def install(self, wheels: Sequence[Staged], *, note: Note | None = None) -> None:
        """Place local wheels over what is there, in one run of pip."""
        with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(staged_lines(wheels), encoding="utf-8")
            argv = [*self._pip(), "--isolated", "install", *_PLACING, "--requirement", str(wanted)]
            what = _what([each.name for each in wheels])
            run_installer(argv, environ=placing_environ(self.environ), what=what, note=note)

    def install_editable(self, folders: Sequence[Path], *, is_isolated: bool = True, note: Note | None = None) -> None:
        """Run `pip install --editable` (PEP 660), without what the projects require."""
        argv = [*self._pip(), "install", "--no-deps", "--no-user", "--use-pep517", *_isolation(is_isolated)]
        argv += [word for folder in folders for word in ("--editable", str(folder))]
        what = _what([str(folder) for folder in folders])
        run_installer(argv, environ=self._build_environ(), what=what, note=note, is_build=True)

    def build_wheel(self, source: Path, out: Path, *, is_isolated: bool = True, note: Note | None = None) -> Path:
        """Run `pip wheel --no-deps`."""
        argv = [*self._pip(), "wheel", "--no-deps", "--use-pep517", *_isolation(is_isolated)]
        argv += ["--wheel-dir", str(out), str(source)]
        run_installer(argv, environ=self._build_environ(), what=f"build `{source}`", note=note, is_build=True)
        return next(iter(sorted(out.glob("*.whl"))))

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Run `pip uninstall`."""
        argv = [*self._pip(), "--isolated", "uninstall", "--yes", *names]
        run_installer(argv, environ=placing_environ(self.environ), what=f"uninstall {', '.join(names)}", note=note)

    def _build_environ(self) -> dict[str, str]:
        """Return the variables of a build: what it requires comes from where the person's configuration says."""
        sources = self.sources or read_sources(self.environ, python_prefix=self.prefix)
        return {**building_environ(self.environ), **pip_variables(sources, offline=self.offline)}

    def _pip(self) -> list[str]:
        return [str(self.python), "-m", "pip"]


def _isolation(is_isolated: bool) -> list[str]:
    return [] if is_isolated else ["--no-build-isolation"]


def _what(names: Sequence[str]) -> str:
    return f"install {named(names)}"
