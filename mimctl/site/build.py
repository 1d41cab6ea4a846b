"""Builds the static index from wheels, toolboxes and zoo files: same input, same bytes, swapped in whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import mimctl
from mimctl.errors import UsageError
from mimctl.site import pages
from mimctl.site.sources import Zoo, build_facts, find_wheels, read_toolboxes, read_zoos
from mimctl.site.swap import replacing
from mimctl.wheels.matrix import read_matrix
from mimctl.wheels.wheelfile import WheelFacts

SCHEMA_VERSION = 1
_GENERATOR = "mimctl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """What an index holds after it was built."""

    out: Path
    files: tuple[str, ...]
    """Names of the wheels."""
    toolboxes: tuple[str, ...]
    models: Mapping[str, int]
    """Toolbox → number of models."""
    torch_verified: str | None


def build_site(
    *,
    wheels: Sequence[Path],
    out: Path,
    zoo: Path | None = None,
    toolboxes: Path | None = None,
    matrix: Path | None = None,
) -> SiteReport:
    """Write a static index of `wheels` (folders or files) to `out`, replacing an index that is there in one step.

    `zoo` is a folder of `<plugin>.json|yaml` with `files/` beside them, `toolboxes` a toolboxes.yaml, `matrix` a
    wheels-matrix.yaml whose newest verified torch is written down. Raises UsageError[not-a-site] where `out` holds
    something that is no index, and what reading the sources raises (`mimctl.site.sources`); then `out` stays as it was.
    """
    out = out.absolute()
    _check_out(out)
    found = find_wheels(wheels)
    boxes = read_toolboxes(toolboxes) if toolboxes else {}
    zoos = read_zoos(zoo) if zoo else []
    verified = read_matrix(matrix).verified_torch if matrix else None
    builds = {facts.filename: build_facts(facts) for facts in found.values()}
    files = [_page_file(facts, builds[facts.filename]) for facts in found.values()]
    with replacing(out) as root:
        _write_wheels(root / "files", found)
        _write_simple(root, files)
        _write_zoos(root, zoos)
        entries = [_entry(facts, builds[facts.filename]) for facts in found.values()]
        generator = f"{_GENERATOR} {mimctl.__version__}"
        head = {"schema_version": SCHEMA_VERSION, "generator": generator}
        _write(root / "index.json", pages.to_json({**head, "files": entries, "torch": {"verified": verified}}))
        _write(root / "toolboxes.json", pages.to_json({**head, "toolboxes": boxes}))
        models = {each.plugin: each.num_models for each in zoos}
        _write(root / "index.html", pages.start_page(toolboxes=boxes, files=files, zoos=models))
    return SiteReport(
        out=out,
        files=tuple(file.filename for file in files),
        toolboxes=tuple(sorted(boxes)),
        models=models,
        torch_verified=verified,
    )


def _check_out(out: Path) -> None:
    """Refuse to replace what is not an index of ours: a mistyped `--out` must not cost anybody a folder."""
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink() and (not any(out.iterdir()) or _is_site(out)):
        return
    raise UsageError(
        f"`{out}` is there already and is no index that mimctl made",
        code="not-a-site",
        causes=["building an index replaces the whole folder"],
        hints=["name a new or an empty folder: `--out DIR`"],
    )


def _is_site(folder: Path) -> bool:
    try:
        data = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and str(data.get("generator", "")).startswith(f"{_GENERATOR} ")


def _write_wheels(folder: Path, found: Mapping[Path, WheelFacts]) -> None:
    folder.mkdir()
    for path, facts in found.items():
        shutil.copyfile(path, folder / facts.filename)
        (folder / f"{facts.filename}.metadata").write_bytes(facts.metadata)


def _write_simple(root: Path, files: Sequence[pages.PageFile]) -> None:
    """Write simple/ (versions without a local label) and whl/<backend>/ (one backend's operators, all pure wheels)."""
    _write_projects(root / "simple", [file for file in files if "+" not in file.version], to_root="../../")
    for backend in sorted({file.backend for file in files if file.backend}):
        chosen = [file for file in files if file.backend in (backend, None)]
        _write_projects(root / "whl" / backend, chosen, to_root="../../../")


def _write_projects(folder: Path, files: Iterable[pages.PageFile], *, to_root: str) -> None:
    projects = {project: list(group) for project, group in groupby(files, key=lambda file: file.project)}
    _write(folder / "index.html", pages.projects_html(projects))
    _write(folder / "index.json", pages.projects_json(projects))
    for project, group in projects.items():
        _write(folder / project / "index.html", pages.project_html(project, group, to_root))
        _write(folder / project / "index.json", pages.project_json(project, group, to_root))


def _write_zoos(root: Path, zoos: Iterable[Zoo]) -> None:
    for zoo in zoos:
        # One model a line: a thousand of them load in milliseconds and still make a readable diff.
        head = {key: value for key, value in zoo.document.items() if key != "models"}
        models = ",\n".join(json.dumps(model, sort_keys=True, ensure_ascii=False) for model in zoo.document["models"])
        start = json.dumps(head, sort_keys=True, ensure_ascii=False).removesuffix("}")
        _write(root / "zoo" / f"{zoo.plugin}.json", f'{start}, "models": [\n{models}\n]}}\n')
        for inside, source in zoo.files:
            target = root / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _page_file(facts: WheelFacts, build: Mapping[str, Any] | None) -> pages.PageFile:
    return pages.PageFile(
        project=facts.project,
        filename=facts.filename,
        version=facts.version,
        sha256=facts.sha256,
        metadata_sha256=_sha256(facts.metadata),
        size=facts.size,
        requires_python=facts.requires_python,
        yanked=None,
        backend=build["backend"] if build else None,
    )


def _entry(facts: WheelFacts, build: Mapping[str, Any] | None) -> dict[str, object]:
    return {
        "project": facts.project,
        "filename": facts.filename,
        "url": pages.file_url(facts.filename),
        "sha256": facts.sha256,
        "size": facts.size,
        "version": facts.version,
        "tags": list(facts.tags),
        "requires_python": facts.requires_python,
        "requires_dist": list(facts.requires_dist),
        "provides_extra": list(facts.provides_extra),
        "metadata_sha256": _sha256(facts.metadata),
        "yanked": None,
        "build": build,
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
