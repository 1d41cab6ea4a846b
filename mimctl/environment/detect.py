"""Detect one target environment: its interpreter, packages, torch and accelerator, each fact with its source."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mimctl.environment import probe
from mimctl.environment.accelerator import detect_accelerator, visible_gpus
from mimctl.environment.amd import find_rocm
from mimctl.environment.ask import ask
from mimctl.environment.distributions import scan
from mimctl.environment.installed import Distribution, Fact, Target, release_of
from mimctl.environment.machine import find_container, find_slurm, find_toolkit, find_wsl
from mimctl.environment.model import Environment, Libc, Paths, Platform
from mimctl.environment.ops import find_ops, judge_tier
from mimctl.environment.origin import find_origin
from mimctl.environment.target import find_target
from mimctl.environment.torch import find_torch
from mimctl.errors import MimctlError

MIN_PYTHON = (3, 11)
_PROBE_TIMEOUT_S = 60
_ASKED = frozenset(
    ("abi", "system", "machine", "mac", "libc", "prefix", "base_prefix", "externally_managed", "paths", "search")
)
_UV_TIMEOUT_S = 10.0


def detect(
    python: Path | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Environment:
    """Return the facts about the target that `python` names, or about the one found by `find_target`'s order.

    Another interpreter than ours is started once. Raises MimctlError[no-target] where there is none,
    [python-too-old] below Python 3.11, [python-unusable] where it does not answer or is no CPython.
    """
    environ = os.environ if environ is None else environ
    return describe(find_target(python, environ=environ, folder=folder or Path.cwd()), environ=environ)


def describe(
    target: Target, *, environ: Mapping[str, str], root: Path = Path("/"), asks_nvcc: bool = False
) -> Environment:
    """Return the facts about one interpreter (see `detect`); `root` is where the machine's own files lie.

    `asks_nvcc` starts the CUDA compiler where no file says its version, which only a person wants to know.
    """
    facts: Mapping[str, Any] = probe.collect() if target.is_own else _ask(target, environ)
    _check(target, facts)
    source = "this interpreter" if target.is_own else str(target.python)
    search = _search_path(facts, own=target.is_own)
    distributions = scan(search)
    accelerator, gpus = detect_accelerator(environ, root=root)
    torch = find_torch(search, distributions.get("torch"))
    ops = find_ops(search, distributions.get("mimctl-ops"), environ)
    uv_path, uv = _uv(environ)
    return Environment(
        target=target,
        python=Fact(value=facts["version"], source=source),
        abi=Fact(value=facts["abi"], source=source),
        platform=Fact(value=_platform(facts), source=source),
        libc=Fact(value=_libc(facts["libc"]), source=source),
        torch=torch,
        accelerator=accelerator,
        gpus=gpus,
        ops=ops,
        ops_tier=judge_tier(ops.value, torch.value),
        cv2=_cv2(search),
        slurm=find_slurm(environ),
        pip=_version(distributions, "pip"),
        uv=uv,
        torch_origin=find_origin(
            torch.value, distributions.get("torch"), prefix=Path(facts["prefix"]), environ=environ
        ),
        visible_gpus=visible_gpus(environ),
        cuda_toolkit=find_toolkit(environ, distributions, root=root, asks_nvcc=asks_nvcc),
        rocm=find_rocm(environ, root=root),
        container=find_container(environ, root=root),
        wsl=find_wsl(environ, root=root),
        uv_path=uv_path,
        paths=_paths(facts, search),
        distributions=distributions,
    )


def look_again(env: Environment, *, environ: Mapping[str, str]) -> Environment:
    """Return the facts after packages were installed or removed; nothing is asked of any process again."""
    search = env.paths.search
    distributions = scan(search)
    torch = find_torch(search, distributions.get("torch"))
    ops = find_ops(search, distributions.get("mimctl-ops"), environ)
    return replace(
        env,
        torch=torch,
        ops=ops,
        ops_tier=judge_tier(ops.value, torch.value),
        cv2=_cv2(search),
        pip=_version(distributions, "pip"),
        torch_origin=find_origin(torch.value, distributions.get("torch"), prefix=env.paths.prefix, environ=environ),
        distributions=distributions,
    )


def _ask(target: Target, environ: Mapping[str, str]) -> dict[str, Any]:
    """Run the probe in another interpreter; the current folder is kept off its module search path."""
    source = Path(probe.__file__).read_text(encoding="utf-8")
    try:
        answer = subprocess.run(
            [str(target.python), "-c", source],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
            cwd=target.python.parent,
            env=child_environ(environ),
        )
        facts = json.loads(answer.stdout.splitlines()[-1]) if answer.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as err:
        raise _unusable(target, f"{type(err).__name__}: {err}") from err
    if not isinstance(facts, dict):
        if "SyntaxError" in answer.stderr:
            raise _too_old(target, "the Python there")
        last = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise _unusable(target, f"it exited {answer.returncode}: {last[0]}")
    return facts


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a question to another interpreter: the current folder is kept off its search path."""
    changed = {**environ, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if environ.get("PYTHONPATH"):
        entries = [str(Path(entry).absolute()) for entry in environ["PYTHONPATH"].split(os.pathsep) if entry]
        changed["PYTHONPATH"] = os.pathsep.join(entries)
    return changed


def _unusable(target: Target, cause: str) -> MimctlError:
    return MimctlError(
        f"`{target.python}` does not work as a Python interpreter",
        code="python-unusable",
        causes=[cause, f"named by {target.source}"],
        hints=["name another: `--python PATH`"],
    )


def _check(target: Target, facts: Mapping[str, Any]) -> None:
    if facts.get("implementation") != "cpython" or not isinstance(facts.get("version"), str):
        raise _unusable(target, f"it is {facts.get('implementation')}; torch has wheels for CPython only")
    if release_of(facts["version"])[:2] < MIN_PYTHON:
        raise _too_old(target, f"Python {facts['version']}")
    missing = sorted(_ASKED - set(facts))
    if missing:
        raise _unusable(target, f"it does not say {', '.join(missing)}")


def _too_old(target: Target, name: str) -> MimctlError:
    needed = ".".join(str(part) for part in MIN_PYTHON)
    return MimctlError(
        f"{name} is too old",
        code="python-too-old",
        causes=[f"mimctl and its plugins need Python >= {needed}", f"`{target.python}`, named by {target.source}"],
        hints=[f"make a newer environment: `python{needed} -m venv .venv`", "or name one: `--python PATH`"],
    )


def _search_path(facts: Mapping[str, Any], *, own: bool) -> tuple[Path, ...]:
    """Return the folders of the module search path, without the current one (`python -m` puts it first)."""
    entries = [Path(entry) for entry in facts["search"]]
    if own and entries and not sys.flags.safe_path and entries[0] == Path.cwd():
        entries = entries[1:]
    return tuple(entry for entry in dict.fromkeys(entries) if entry.suffix != ".zip")


def _platform(facts: Mapping[str, Any]) -> Platform:
    raw = str(facts["system"])
    known: dict[str, Literal["linux", "darwin", "win32"]] = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
    numbers = [int(part) for part in str(facts["mac"]).split(".")[:2] if part.isdigit()]
    release = (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else None
    return Platform(system=known.get(raw, "other"), machine=str(facts["machine"]), release=release)


def _libc(raw: list[Any] | None) -> Libc | None:
    return Libc(family=raw[0], version=(int(raw[1]), int(raw[2]))) if raw else None


def _paths(facts: Mapping[str, Any], search: tuple[Path, ...]) -> Paths:
    scheme = facts["paths"]
    return Paths(
        prefix=Path(facts["prefix"]),
        purelib=Path(scheme["purelib"]),
        platlib=Path(scheme["platlib"]),
        scripts=Path(scheme["scripts"]),
        data=Path(scheme["data"]),
        search=search,
        is_virtual=facts["prefix"] != facts["base_prefix"],
        externally_managed=bool(facts["externally_managed"]),
    )


def _cv2(search: tuple[Path, ...]) -> Fact[Path | None]:
    for folder in search:
        found = next((each for each in (folder / "cv2" / "__init__.py", folder / "cv2.py") if each.is_file()), None)
        found = found or next(iter(sorted(folder.glob("cv2.*.so"))), None)
        if found is not None:
            return Fact(value=found, source=str(folder))
    return Fact(value=None, source="no cv2 module on the module search path")


def _version(distributions: Mapping[str, Distribution], name: str) -> Fact[str | None]:
    found = distributions.get(name)
    if found is None:
        return Fact(value=None, source=f"no {name} in the target environment")
    return Fact(value=found.version, source=str(found.path))


def _uv(environ: Mapping[str, str]) -> tuple[Path | None, Fact[str | None]]:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv", path=environ.get("PATH"))
    if found is None:
        return None, Fact(value=None, source="no uv on PATH")
    said = ask([found, "--version"], timeout_s=_UV_TIMEOUT_S)
    words = said.text.split()
    if said.problem is not None or words[:1] != ["uv"] or len(words) < 2:
        return None, Fact(value=None, source=f"{found} {said.problem or 'does not say its version'}")
    return Path(found), Fact(value=words[1], source=found)
