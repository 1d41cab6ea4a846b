"""Keeps virtual environments for building, auditing and testing wheels in the cache, one for each set of packages."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError

Report = Callable[[str], None]

_PURE = ("hatchling>=1.25", "scikit-build-core>=0.11")
_COMPILED = (*_PURE, "cmake>=3.24", "ninja>=1.11")
_READY = "ready.json"
_DROPPED = frozenset(
    ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an environment holds, and which interpreter it is made with.

    Recipes that want the same share one environment, wherever its torch came from.
    """

    purpose: str
    """Why it exists: the folder of the cache that it lies in, a key of `_WORDS`."""
    requirements: tuple[str, ...]
    torch: tuple[Source, ...] = ()
    """Ways to get torch, the first that works is taken; none where the environment needs no torch."""
    interpreter: Path = Path(sys.executable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One way to get torch: a requirement, and an index that takes the place of pip's own where one is given."""

    requirement: str
    index: str | None = None
    with_dependencies: bool = True


def pure_environment(*, cache_dir: Path, report: Report) -> Path:
    """Return the interpreter of an environment that builds pure-Python wheels, making it where needed."""
    return ensure(Recipe(purpose="build-envs", requirements=_PURE), cache_dir=cache_dir, report=report)


def compile_environment(torch: str, *, cache_dir: Path, torch_index: str, report: Report) -> Path:
    """Return the interpreter of an environment that compiles against `torch` (its CPU build), making it where needed.

    torch comes from where pip's own configuration offers the CPU build, else from `<torch_index>/cpu`. Only its headers
    and libraries are wanted, so it comes without its dependencies.
    """
    sources = cpu_torch(torch, torch_index, with_dependencies=False)
    recipe = Recipe(purpose="build-envs", requirements=_COMPILED, torch=sources)
    return ensure(recipe, cache_dir=cache_dir, report=report)


def cpu_torch(version: str, torch_index: str, *, with_dependencies: bool) -> tuple[Source, ...]:
    """Return the two places where the CPU build of a torch may be: what pip is set up with, torch's own index."""
    own_index = f"{torch_index.rstrip('/')}/cpu"
    return (
        Source(requirement=f"torch=={version}+cpu", with_dependencies=with_dependencies),
        Source(requirement=f"torch=={version}", index=own_index, with_dependencies=with_dependencies),
    )


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment variables of a build: ours without what would let other packages in."""
    kept = {key: value for key, value in os.environ.items() if key not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **more}


def ensure(
    recipe: Recipe, *, cache_dir: Path, report: Report, finish: Callable[[Path], None] = lambda folder: None
) -> Path:
    """Return the interpreter of the environment that a recipe describes, making it where needed.

    `finish` gets the folder of a new environment before it counts as ready. Raises MimctlError[build-environment].
    """
    folder = place_of(recipe, cache_dir=cache_dir)
    python = folder / "bin" / "python"
    if is_ready(folder):
        return python
    with exclusive(folder.with_name(f"{folder.name}.lock"), report):
        if not is_ready(folder):  # another process may have made it while this one waited
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted one left
            report(f"making {_WORDS[recipe.purpose]} in {folder}")
            _create(folder, python, recipe)
            finish(folder)
            _write_ready(folder, recipe)
    return python


_WORDS = {
    "build-envs": "a build environment",
    "toolchains": "an environment with the CUDA compiler",
    "audit-envs": "an environment for torch-abi-audit",
    "verify-envs": "an environment to test in",
}


def place_of(recipe: Recipe, *, cache_dir: Path) -> Path:
    """Return the folder of a recipe's environment, which may not exist yet."""
    key = hashlib.sha256(json.dumps(_facts(recipe), sort_keys=True).encode("utf-8")).hexdigest()[:16]
    return cache_dir / recipe.purpose / key


def _facts(recipe: Recipe) -> dict[str, object]:
    interpreter = recipe.interpreter
    python = [sys.version, sys.base_prefix] if interpreter == Path(sys.executable) else [str(interpreter.resolve())]
    return {
        "requirements": list(recipe.requirements),
        "torch": recipe.torch[0].requirement.partition("==")[2] if recipe.torch else None,
        "python": python,
    }


def is_ready(folder: Path) -> bool:
    """Return whether an environment was made to its end."""
    return (folder / _READY).is_file() and (folder / "bin" / "python").exists()


def _write_ready(folder: Path, recipe: Recipe) -> None:
    temporary = folder / f".{_READY}"
    temporary.write_text(json.dumps(_facts(recipe), indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / _READY)


def _create(folder: Path, python: Path, recipe: Recipe) -> None:
    argv = [str(recipe.interpreter), "-m", "venv", str(folder)]
    _run(argv, "cannot make a virtual environment", ["install `python3-venv`"])
    install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    _run([*install, *recipe.requirements], f"cannot install {_first_names(recipe.requirements)}")
    if recipe.torch:
        _install_torch(install, recipe.torch)


def _install_torch(install: Sequence[str], sources: Sequence[Source]) -> None:
    for number, source in enumerate(sources, start=1):
        argv = [*install, *([] if source.with_dependencies else ["--no-deps"])]
        argv += ["--index-url", source.index] if source.index else []
        argv.append(source.requirement)
        if number == len(sources):
            _run(argv, f"cannot install `{source.requirement}`")
            return
        argv += ["--retries", "1", "--timeout", "30"]  # there is another place to look
        if subprocess.run(argv, env=child_environment(), capture_output=True).returncode == 0:
            return


def _first_names(requirements: Sequence[str]) -> str:
    names = [re.split(r"[<>=!~ ;\[]", each)[0] for each in requirements]
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def _run(argv: list[str], message: str, hints: Sequence[str] = ()) -> None:
    done = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    raise MimctlError(
        message,
        code="build-environment",
        causes=[f"`{' '.join(argv)}` ended with {done.returncode}", *lines[-5:]],
        hints=list(hints) or ["check that pip can reach its indexes: `pip config list`"],
    )


@contextmanager
def exclusive(path: Path, report: Report) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel drops it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that holds {path}")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
