"""uv as a child process: `uv pip --python TARGET`, which needs no pip in the target."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.installer.environ import building_environ, placing_environ
from mimctl.installer.model import exact_requirement
from mimctl.installer.pip_config import PipConfig, read_pip_config
from mimctl.installer.process import Expect, Note, run_installer
from mimctl.installer.staged import Staged, named, staged_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class UvBackend:
    """`uv pip --python TARGET`, told what pip is configured with where something is built."""

    python: Path
    uv: Path
    version: str
    environ: Mapping[str, str]
    search: tuple[Path, ...] = ()
    """The folders that the target installs into."""
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
        argv += [*_isolation(is_isolated), "--no-sources", "--reinstall"]
        argv += [word for folder in folders for word in ("--editable", str(folder))]
        what = _what([str(folder) for folder in folders])
        run_installer(argv, environ=self._build_environ(), what=what, note=note, is_build=True)

    def build_wheel(self, source: Path, out: Path, *, is_isolated: bool = True, note: Note | None = None) -> Path:
        """Run `uv build --wheel`."""
        argv = [str(self.uv), "--no-config", "build", "--wheel", "--no-sources", "--python", str(self.python)]
        argv += [*_isolation(is_isolated), "--out-dir", str(out), str(source)]
        run_installer(argv, environ=self._build_environ(), what=f"build `{source}`", note=note, is_build=True)
        return next(iter(sorted(out.glob("*.whl"))))

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Run `uv pip uninstall`."""
        argv = [str(self.uv), "--no-config", "pip", "uninstall", "--python", str(self.python), *names]
        run_installer(argv, environ=placing_environ(self.environ), what=f"uninstall {', '.join(names)}", note=note)

    def _build_environ(self) -> dict[str, str]:
        """Return the variables of a build: what it requires comes from where pip's configuration says.

        pip looks at all its indexes and takes the best version, so uv is told to do the same.
        """
        config = self._pip_config()
        said = {
            "UV_INDEX_URL": config.index_url or "",
            "UV_EXTRA_INDEX_URL": " ".join(config.extra_index_urls),
            "UV_FIND_LINKS": ",".join(_address(link) for link in config.find_links),
            "UV_NO_INDEX": "true" if config.no_index else "",
            "UV_INSECURE_HOST": " ".join(config.trusted_hosts),
            "SSL_CERT_FILE": config.cert or "",
            "HTTP_PROXY": config.proxy or "",
            "HTTPS_PROXY": config.proxy or "",
            "UV_OFFLINE": "1" if self.offline else "",
        }
        chosen = {name: value for name, value in said.items() if value}
        return {**building_environ(self.environ), "UV_INDEX_STRATEGY": "unsafe-best-match", **chosen}

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

        requirements = [f"{_name(each)} @ {each.as_uri()}#sha256={sha256_of(each)}" for each in wheels]
        argv = [*self._uv("install"), "--no-deps", "--no-index", "--reinstall"]
        run_installer(
            [*argv, *requirements], environ=self._environ(), what=_what([each.name for each in wheels]), note=note
        )

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


_PLACING = ("--no-progress", "--no-deps", "--no-index", "--only-binary", ":all:", "--require-hashes")
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


def _address(link: str) -> str:
    """Return a place that has no comma, which separates them."""
    return (link if "://" in link else Path(link).absolute().as_uri()).replace(",", "%2C")


def _public(version: str) -> str:
    return version.partition("+")[0]


def _what(names: Sequence[str]) -> str:
    return f"install {named(names)}"
