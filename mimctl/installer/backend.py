"""The two installers behind one interface: `python -m pip` of the target, and uv; both run as child processes."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.model import exact_requirement
from mimctl.installer.pip_config import PipConfig, read_pip_config
from mimctl.installer.process import Note, run_installer

Choice = Literal["auto", "pip", "uv"]
Expect = Callable[[Iterable[str]], None]
"""Called with the names of distributions that an installer is about to bring or replace, where it tells beforehand."""


class Backend(Protocol):
    """An installer that works on one target."""

    @property
    def label(self) -> str:
        """Return name and version: `pip 26.3`."""

    def offers(self, name: str, version: str) -> bool:
        """Return whether the user's own configuration offers this very version; downloads no wheel."""

    def install_requirements(
        self,
        requirements: Sequence[str],
        *,
        constraints: Path,
        extra_index: str | None = None,
        note: Note | None = None,
        expect: Expect | None = None,
    ) -> None:
        """Install requirements and what they need from the user's own configuration, as wheels only."""

    def install_wheels(self, wheels: Sequence[Path], *, note: Note | None = None) -> None:
        """Install local wheels as they are, without what they require, over what is there."""

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Remove distributions."""


def choose_backend(
    env: Environment, choice: Choice = "auto", *, environ: Mapping[str, str] | None = None, offline: bool = False
) -> Backend:
    """Return the installer for a target: pip where the target has it, else uv, or the one asked for.

    Raises MimctlError[no-installer] where that one is not there.
    """
    environ = dict(os.environ if environ is None else environ)
    if choice != "uv" and env.pip.value is not None:
        return PipBackend(python=env.target.python, version=env.pip.value, environ=environ, offline=offline)
    if choice != "pip" and env.uv_path is not None and env.uv.value is not None:
        return UvBackend(
            python=env.target.python, uv=env.uv_path, version=env.uv.value, environ=environ, offline=offline
        )
    asked = "pip nor uv is" if choice == "auto" else f"`{choice}` was asked for and is not"
    raise MimctlError(
        f"neither {asked} there" if choice == "auto" else f"{asked} there",
        code="no-installer",
        causes=[env.pip.source, env.uv.source],
        hints=[f"bring pip into the environment: `{env.target.python} -m ensurepip`"],
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
            [*argv, *map(str, wheels)], environ=self._environ(), what=_what([each.name for each in wheels]), note=note
        )

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Run `pip uninstall`."""
        argv = [*self._pip(), "uninstall", "--yes", *names]
        run_installer(argv, environ=self._environ(), what=f"uninstall {', '.join(names)}", note=note)

    def _pip(self) -> list[str]:
        return [str(self.python), "-m", "pip"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class UvBackend:
    """`uv pip --python TARGET`, told what pip is configured with where uv itself is not."""

    python: Path
    uv: Path
    version: str
    environ: Mapping[str, str]
    offline: bool = False

    @property
    def label(self) -> str:
        """Return name and version."""
        return f"uv {self.version}"

    def offers(self, name: str, version: str) -> bool:
        """Return whether uv resolves the version; metadata is read, no wheel is."""
        requirement = exact_requirement(name, version)
        # `install --dry-run` would leave uv's lock file in the environment; `compile` does not touch it.
        argv = [*self._uv("compile"), "--no-deps", "--only-binary", ":all:", *self._indexes()]
        with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
            wanted = Path(folder) / "wanted.in"
            wanted.write_text(f"{requirement}\n", encoding="utf-8")
            try:
                run_installer([*argv, str(wanted)], environ=self._environ(), what=f"look for `{requirement}`")
            except MimctlError:
                return False
        return True

    def install_requirements(
        self,
        requirements: Sequence[str],
        *,
        constraints: Path,
        extra_index: str | None = None,
        note: Note | None = None,
        expect: Expect | None = None,
    ) -> None:
        """Run `uv pip install`, after asking it what it would do where somebody wants to know that beforehand."""
        argv = [*self._uv("install"), "--only-binary", ":all:", "--constraint", str(constraints), *self._indexes()]
        argv += ["--extra-index-url", extra_index] if extra_index else []
        environ = self._environ()
        if expect is not None:
            said = run_installer([*argv, "--dry-run", *requirements], environ=environ, what=_what(requirements))
            expect(found[1] for line in said if (found := _UV_CHANGE.match(line)))
        run_installer([*argv, *requirements], environ=environ, what=_what(requirements), note=note)

    def install_wheels(self, wheels: Sequence[Path], *, note: Note | None = None) -> None:
        """Run `uv pip install --no-deps --no-index`; the hash goes into the address, which uv records."""
        from mimctl.transfer import sha256_of

        named = [f"{_name(each)} @ {each.as_uri()}#sha256={sha256_of(each)}" for each in wheels]
        argv = [*self._uv("install"), "--no-deps", "--no-index", "--reinstall"]
        run_installer([*argv, *named], environ=self._environ(), what=_what([each.name for each in wheels]), note=note)

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Run `uv pip uninstall`."""
        argv = [*self._uv("uninstall"), *names]
        run_installer(argv, environ=self._environ(), what=f"uninstall {', '.join(names)}", note=note)

    def _uv(self, verb: str) -> list[str]:
        return [str(self.uv), "pip", verb, "--python", str(self.python), "--no-progress"]

    def _environ(self) -> dict[str, str]:
        config = self._pip_config()
        changed = dict(self.environ)
        if config.cert:
            changed.setdefault("SSL_CERT_FILE", config.cert)
        if config.proxy:
            changed.setdefault("HTTPS_PROXY", config.proxy)
            changed.setdefault("HTTP_PROXY", config.proxy)
        return changed

    def _indexes(self) -> list[str]:
        """Return pip's configuration in uv's options; uv's own variables, where set, come first.

        pip looks at all its indexes and takes the best version, so uv is told to do the same.
        """
        if any(self.environ.get(name) for name in _UV_INDEX_VARIABLES):
            return ["--offline"] if self.offline else []
        config = self._pip_config()
        argv = ["--index-strategy", "unsafe-best-match"]
        argv += ["--no-index"] if config.no_index else []
        argv += ["--index-url", config.index_url] if config.index_url else []
        for option, values in (
            ("--extra-index-url", config.extra_index_urls),
            ("--find-links", config.find_links),
            ("--allow-insecure-host", config.trusted_hosts),
        ):
            argv += [word for value in values for word in (option, value)]
        return argv

    def _pip_config(self) -> PipConfig:
        config = read_pip_config(_some_pip(self.python), self.environ)
        return config.local_only() if self.offline else config


_UV_CHANGE = re.compile(r" [+~-] ([^\s=@]+)(?:==| @ )")
"""A change as uv lists it: ` + numpy==2.1.0`."""
_UV_INDEX_VARIABLES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


def _some_pip(python: Path) -> list[str]:
    """Return how to call a pip that knows the user's configuration: the target's, ours, or the first on PATH."""
    import importlib.util
    import shutil

    if any((python.parent / name).is_file() for name in ("pip", "pip.exe")):
        return [str(python), "-m", "pip"]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    return [shutil.which("pip") or shutil.which("pip3") or "pip"]


def _name(wheel: Path) -> str:
    return wheel.name.partition("-")[0]


def _what(names: Sequence[str]) -> str:
    return f"install {', '.join(f'`{name}`' for name in names)}"
