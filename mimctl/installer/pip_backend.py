"""pip as a child process: `python -m pip` of the target environment."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.installer.environ import building_environ, placing_environ
from mimctl.installer.pip_config import PipConfig, read_pip_config
from mimctl.installer.process import Expect, Note, run_installer
from mimctl.installer.staged import Staged, named, staged_lines

_PLACING = (
    "--no-deps",
    "--no-index",
    "--no-user",
    "--force-reinstall",
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

    def offers(self, name: str, version: str) -> bool:
        """Return whether pip finds the version for this interpreter (`pip index versions`)."""
        argv = [*self._pip(), "index", "versions", name, "--only-binary", ":all:", "--retries", "1", *self._offline()]
        try:
            lines = run_installer(argv, environ=self._environ(), what=f"look for `{name}`")
        except MimctlError:
            return False
        listed = [line.partition(":")[2] for line in lines if line.startswith("Available versions:")]
        return any(version in (word.strip() for word in text.split(",")) for text in listed)

    def install_requirements(
        self,
        requirements: Sequence[str],
        *,
        constraints: Path,
        extra_index: str | None = None,
        note: Note | None = None,
        expect: Expect | None = None,
    ) -> None:
        """Run `pip install`; pip upgrades only what a requirement or the constraints make it.

        It tells nothing beforehand, but marks what was asked for (REQUESTED, PEP 376).
        """
        argv = [*self._pip(), "install", "--only-binary", ":all:", "--constraint", str(constraints), *self._offline()]
        argv += ["--extra-index-url", extra_index] if extra_index else []
        run_installer([*argv, *requirements], environ=self._environ(), what=_what(requirements), note=note)

    def install_wheels(self, wheels: Sequence[Path], *, note: Note | None = None) -> None:
        """Run `pip install --no-deps --no-index` on files; pip records their hashes (PEP 610)."""
        argv = [*self._pip(), "install", "--no-deps", "--no-index", "--force-reinstall"]
        run_installer(
            [*argv, *map(str, wheels)],
            environ=self._environ(),
            what=f"install {named([each.name for each in wheels])}",
            note=note,
        )

    def _offline(self) -> list[str]:
        if not self.offline:
            return []
        config = read_pip_config(self._pip(), self.environ).local_only()
        argv = ["--index-url", config.index_url] if config.index_url else ["--no-index"]
        return [*argv, *(word for link in config.find_links for word in ("--find-links", link))]

    def _environ(self) -> dict[str, str]:
        changed = {**self.environ, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONSAFEPATH": "1"}
        if self.offline:
            config = read_pip_config(self._pip(), self.environ).local_only()
            changed["PIP_EXTRA_INDEX_URL"] = " ".join(config.extra_index_urls)
            changed["PIP_FIND_LINKS"] = ""
        return changed

    def _build_environ(self) -> dict[str, str]:
        """Return the variables of a build: what it requires comes from where the person's configuration says."""
        config = self._config()
        said = {
            "PIP_INDEX_URL": config.index_url or "",
            "PIP_EXTRA_INDEX_URL": " ".join(config.extra_index_urls),
            "PIP_FIND_LINKS": " ".join(config.find_links),
            "PIP_NO_INDEX": "1" if config.no_index else "",
            "PIP_CERT": config.cert or "",
            "PIP_TRUSTED_HOST": " ".join(config.trusted_hosts),
            "PIP_PROXY": config.proxy or "",
        }
        return {**building_environ(self.environ), **{name: value for name, value in said.items() if value}}

    def _pip(self) -> list[str]:
        return [str(self.python), "-m", "pip"]

    def _config(self) -> PipConfig:
        config = read_pip_config(self._pip(), self.environ)
        return config.local_only() if self.offline else config


def _isolation(is_isolated: bool) -> list[str]:
    return [] if is_isolated else ["--no-build-isolation"]


def _what(names: Sequence[str]) -> str:
    return f"install {named(names)}"
