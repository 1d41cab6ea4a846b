"""uv as a child process: `uv pip --python TARGET`, which needs no pip in the target."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.index.sources import PackageSources, read_sources
from mimctl.installer.backends.environ import building_environ, has_no_index, placing_environ, uv_variables
from mimctl.installer.backends.process import Note, run_installer
from mimctl.installer.backends.staged import Staged, named, staged_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class UvBackend:
    """`uv pip --python TARGET`, told what pip is configured with where something is built."""

    python: Path
    uv: Path
    version: str
    environ: Mapping[str, str]
    search: tuple[Path, ...] = ()
    """The folders that the target installs into."""
    prefix: Path | None = None
    """Of the target: an environment may have a `pip.conf` of its own."""
    sources: PackageSources | None = None
    """Where builds get what they require; read from the person's configuration when one begins where it is None."""
    offline: bool = False

    @property
    def label(self) -> str:
        """Return name and version."""
        return f"uv {self.version}"

    def install(self, wheels: Sequence[Staged], *, note: Note | None = None) -> None:
        """Place local wheels over what is there, in one run of uv.

        Only what is there in the very version is forced: uv unpacks what it is forced to place anew each time.
        """
        again = _there_already(wheels, self.search)
        with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(staged_lines(wheels), encoding="utf-8")
            argv = [str(self.uv), "--no-config", "pip", "install", "--python", str(self.python), *_PLACING]
            argv += [word for name in again for word in ("--reinstall-package", name)]
            what = _what([each.name for each in wheels])
            run_installer(
                [*argv, "--requirement", str(wanted)], environ=placing_environ(self.environ), what=what, note=note
            )

    def install_editable(self, folders: Sequence[Path], *, is_isolated: bool = True, note: Note | None = None) -> None:
        """Run `uv pip install --editable` (PEP 660), without what the projects require."""
        argv = [str(self.uv), "--no-config", "pip", "install", "--python", str(self.python), "--no-deps"]
        sources = self._sources()
        argv += [*_isolation(is_isolated), "--no-sources", "--reinstall", *self._no_index(sources)]
        argv += [word for folder in folders for word in ("--editable", str(folder))]
        what = _what([str(folder) for folder in folders])
        run_installer(argv, environ=self._build_environ(sources), what=what, note=note, is_build=True)

    def build_wheel(self, source: Path, out: Path, *, is_isolated: bool = True, note: Note | None = None) -> Path:
        """Run `uv build --wheel`."""
        argv = [str(self.uv), "--no-config", "build", "--wheel", "--no-sources", "--python", str(self.python)]
        sources = self._sources()
        argv += [*_isolation(is_isolated), *self._no_index(sources), "--out-dir", str(out), str(source)]
        run_installer(argv, environ=self._build_environ(sources), what=f"build `{source}`", note=note, is_build=True)
        return next(iter(sorted(out.glob("*.whl"))))

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Run `uv pip uninstall`."""
        argv = [str(self.uv), "--no-config", "pip", "uninstall", "--python", str(self.python), *names]
        run_installer(argv, environ=placing_environ(self.environ), what=f"uninstall {', '.join(names)}", note=note)

    def _sources(self) -> PackageSources:
        """Return where builds get what they require: where the person's configuration says."""
        return self.sources or read_sources(self.environ, python_prefix=self.prefix)

    def _no_index(self, sources: PackageSources) -> list[str]:
        return ["--no-index"] if has_no_index(sources, offline=self.offline) else []

    def _build_environ(self, sources: PackageSources) -> dict[str, str]:
        return {**building_environ(self.environ), **uv_variables(sources, offline=self.offline)}


_PLACING = ("--no-progress", "--no-deps", "--no-index", "--only-binary", ":all:", "--require-hashes")


def _there_already(wheels: Sequence[Staged], search: Sequence[Path]) -> list[str]:
    """Return the names of wheels that uv would leave alone, as what is there is called the same."""
    from mimctl.environment.distributions import scan

    there = scan(search)
    return [
        each.name
        for each in wheels
        if (found := there.get(each.name)) is not None and _public(found.version) == _public(each.version)
    ]


def _isolation(is_isolated: bool) -> list[str]:
    return [] if is_isolated else ["--no-build-isolation"]


def _public(version: str) -> str:
    return version.partition("+")[0]


def _what(names: Sequence[str]) -> str:
    return f"install {named(names)}"
