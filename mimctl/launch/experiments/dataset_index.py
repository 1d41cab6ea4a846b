"""Data sets that a package names in `.mim/dataset-index.yml`, fetched the way mim does it: OpenDataLab's client `odl`
brings the raw files, a script of the package puts them where its configs look."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mimctl.errors import MimctlError
from mimctl.launch.processes.local import run_script
from mimctl.plugin.mim import DATASETS, MimPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPlan:
    """What is run for one data set: the client's line, then the script's; where raw files and the finished data go."""

    name: str
    source: str
    raw_dir: Path
    data_dir: Path
    argv: tuple[str, ...]
    script: tuple[str, ...] | None = None


def list_datasets(package: MimPackage) -> dict[str, Mapping[str, Any]]:
    """Return the data sets that a package names → what it says of each; raise MimctlError[unknown-dataset] for a file
    that cannot be read."""
    import yaml

    path = package.root / DATASETS
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise MimctlError(f"`{path}` is not YAML", code="unknown-dataset", causes=[str(err)]) from err
    entries = data.items() if isinstance(data, dict) else ()
    return {str(key): value for key, value in entries if isinstance(value, dict)}


def plan_dataset(package: MimPackage, name: str, *, python: Path, dest: Path | None) -> DatasetPlan:
    """Return what fetching a data set that the package names runs; raise MimctlError[no-dataset-client]."""
    facts = list_datasets(package)[name]
    source = str(facts.get("dataset") or name)
    raw_dir = Path(str(facts.get("download_root") or "data")).absolute()
    data_dir = (dest.expanduser() if dest else Path(str(facts.get("data_root") or raw_dir))).absolute()
    script = facts.get("script")
    path = None if not script else _inside(package, str(script))
    return DatasetPlan(
        name=name,
        source=source,
        raw_dir=raw_dir,
        data_dir=data_dir,
        argv=(_client(python, source), "get", source, "-d", str(raw_dir)),
        script=None if path is None else ("bash", str(path), str(raw_dir), str(data_dir)),
    )


def fetch(plan: DatasetPlan, *, stdout: IO[bytes] | None, note: Callable[[str], None] | None) -> DatasetPlan:
    """Run the plan's lines, one after the other; raise MimctlError[script-failed] with the exit code of the first that
    fails."""
    for folder in (plan.raw_dir, plan.data_dir):
        folder.mkdir(parents=True, exist_ok=True)
    for argv in (plan.argv, plan.script):
        if argv is None:
            continue
        if note is not None:
            note(f"running {shlex.join(argv)}")
        code = run_script(argv, stdout=stdout)
        if code != 0:
            raise MimctlError(
                f"fetching the data set `{plan.name}` ended with exit code {code}",
                code="script-failed",
                causes=[f"the line was: {shlex.join(argv)}"],
                exit_code=code,
            )
    return plan


def _client(python: Path, source: str) -> str:
    beside = python.parent / "odl"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("odl")
    if found is None:
        raise MimctlError(
            "the client of OpenDataLab is not installed",
            code="no-dataset-client",
            causes=[f"the package fetches `{source}` with the command `odl`, which is not there"],
            hints=[
                "install it and log in once: `pip install opendatalab`, `odl login`",
                "or where mimctl has it too (`mimctl download --list-datasets`): `mimctl download --dataset NAME`",
            ],
        )
    return found


def _inside(package: MimPackage, script: str) -> Path:
    inner = PurePosixPath(script)
    path = package.root / inner
    if inner.is_absolute() or ".." in inner.parts or not path.is_file():
        raise MimctlError(
            f"the script `{script}` that puts the data in order is not in `{package.name}`", code="unknown-dataset"
        )
    return path
