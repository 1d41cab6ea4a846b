"""The two installers behind one interface, and which of them works on a target; both run as child processes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from mimctl.environment.installed import release_of
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.sources import PackageSources
from mimctl.installer.backends.process import Note
from mimctl.installer.backends.staged import Staged

__all__ = ["Backend", "Choice", "Staged", "choose_backend"]

Choice = Literal["auto", "pip", "uv"]
OLDEST_PIP, OLDEST_UV = "22.3", "0.5.0"
"""The oldest versions that the tests run with; pip 22.3 comes with Python 3.11."""


class Backend(Protocol):
    """An installer that works on one target: it places, builds and removes, and never decides what."""

    @property
    def label(self) -> str:
        """Return name and version: `pip 26.3`."""

    def install(self, wheels: Sequence[Staged], *, note: Note | None = None) -> None:
        """Place local wheels over what is there, and nothing else; no index is asked, whatever is configured.

        Raises MimctlError[install-failed], IntegrityError[hash-mismatch] where a file is not what it was.
        """

    def install_editable(self, folders: Sequence[Path], *, is_isolated: bool = True, note: Note | None = None) -> None:
        """Install projects so that their folders stay what is imported (PEP 660), without what they require.

        What their builds need comes from the person's own indexes; without `is_isolated` from the target. Raises
        MimctlError[build-failed].
        """

    def build_wheel(self, source: Path, out: Path, *, is_isolated: bool = True, note: Note | None = None) -> Path:
        """Build a project's folder or source distribution and return the wheel, which is alone in `out`.

        As for `install_editable`.
        """

    def uninstall(self, names: Sequence[str], *, note: Note | None = None) -> None:
        """Remove distributions."""


def choose_backend(
    env: Environment,
    choice: Choice = "auto",
    *,
    environ: Mapping[str, str] | None = None,
    sources: PackageSources | None = None,
    offline: bool = False,
) -> Backend:
    """Return the installer for a target: uv where there is one, else the target's pip, or the one asked for.

    `sources` is where builds get what they require, what pip and uv are configured with where it is None. uv may live
    anywhere (beside mimctl, on PATH) and needs no pip in the target; one that is too old counts as absent.
    Raises MimctlError[no-installer] where none is left.
    """
    environ = dict(os.environ if environ is None else environ)
    why_not_uv, why_not_pip = _why_not(env.uv.value, OLDEST_UV, "uv"), _why_not(env.pip.value, OLDEST_PIP, "pip")
    if choice != "pip" and why_not_uv is None and env.uv_path is not None and env.uv.value is not None:
        from mimctl.installer.backends.uv_backend import UvBackend

        search = tuple(dict.fromkeys((env.paths.purelib, env.paths.platlib)))
        return UvBackend(
            python=env.target.python,
            uv=env.uv_path,
            version=env.uv.value,
            environ=environ,
            search=search,
            prefix=env.paths.prefix,
            sources=sources,
            offline=offline,
        )
    if choice != "uv" and why_not_pip is None and env.pip.value is not None:
        from mimctl.installer.backends.pip_backend import PipBackend

        return PipBackend(
            python=env.target.python,
            version=env.pip.value,
            environ=environ,
            prefix=env.paths.prefix,
            sources=sources,
            offline=offline,
        )
    causes = {"uv": why_not_uv or env.uv.source, "pip": why_not_pip or env.pip.source}
    asked = "neither uv nor pip is there" if choice == "auto" else f"`{choice}` was asked for and is not there"
    old = env.pip.value is not None and choice != "uv"
    mend = "-m pip install --upgrade pip" if old else "-m ensurepip"
    raise MimctlError(
        asked,
        code="no-installer",
        causes=[causes[choice]] if choice != "auto" else list(causes.values()),
        hints=["install uv: `python -m pip install uv`"]
        if choice == "uv"
        else [f"bring pip into the environment: `{env.target.python} {mend}`"],
    )


def _why_not(version: str | None, oldest: str, name: str) -> str | None:
    """Return why a version cannot be used, None where it can (or is not there at all)."""
    if version is None or release_of(version) >= release_of(oldest):
        return None
    return f"{name} {version} is older than {oldest}"
