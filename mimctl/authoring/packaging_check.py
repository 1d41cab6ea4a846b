"""The distribution: its name, its entry point, what it requires, its licence, and that its data files are packed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl import __version__
from mimctl.authoring.model import Examination, Finding
from mimctl.errors import Origin
from mimctl.plugin.entry_points import GROUP

NAME = "packaging"
_DATA = ("plugin.toml", "types.json")


def check_packaging(given: Examination) -> Iterator[Finding]:
    """Check pyproject.toml where the toolbox is edited, else the metadata of what is installed."""
    subject = given.subject
    if subject.project_dir is not None:
        findings = list(_project(given, subject.project_dir / "pyproject.toml"))
    elif subject.is_source:
        findings = [Finding(check=NAME, status="skip", message="there is no pyproject.toml above the package")]
    else:
        findings = list(_installed(given))
    yield from findings
    if not findings:
        yield Finding(
            check=NAME, status="ok", message="name, entry point, requirements and licence are as they should be"
        )


def _project(given: Examination, path: Path) -> Iterator[Finding]:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        yield Finding(check=NAME, status="fail", message=f"not valid TOML: {err}", origin=Origin(file=str(path)))
        return

    def say(status: str, message: str, word: str, hint: str = "") -> Finding:
        lines = [number for number, line in enumerate(text.splitlines(), 1) if word and line.strip().startswith(word)]
        origin = Origin(file=str(path), line=lines[0] if lines else None)
        return Finding(
            check=NAME,
            status="warn" if status == "warn" else "fail",
            message=message,
            origin=origin,
            hints=(hint,) if hint else (),
        )

    project = data.get("project", {})
    name = given.manifest.name if given.manifest is not None else "NAME"
    title = re.sub(r"[-_.]+", "-", str(project.get("name", ""))).lower()
    if title != f"mimctl-{name.replace('_', '-')}":
        yield say("warn", f"the distribution is called `{title}`", "name", f"toolboxes are called `mimctl-{name}`")
    entries = project.get("entry-points", {}).get(GROUP, {})
    if given.manifest is not None and entries.get(name) != given.subject.package:
        found = entries.get(name)
        message = (
            f"entry point `{name}` of `{GROUP}` is {found!r}"
            if found
            else f"it has no entry point `{name}` in the group `{GROUP}`"
        )
        hint = f'[project.entry-points."{GROUP}"] {name} = "{given.subject.package}"'
        yield say("fail", message, "[project.entry-points", hint)
    if "dependencies" not in project.get("dynamic", []):
        lines = [str(each) for each in project.get("dependencies", [])]
        yield from (say(*each) for each in judge_requirements(lines, given))
    if "license" not in project and "license-files" not in project:
        yield say(
            "warn", "it has no licence", "[project]", "`license` and `license-files` say what others may do with it"
        )
    for pattern in project.get("license-files", []):
        if not any(path.parent.glob(pattern)):
            yield say("fail", f"`license-files` names `{pattern}`, which is not there", "license-files")
    if not (path.parent / "README.md").is_file() and "readme" not in project:
        yield say("warn", "it has no README.md", "[project]", "say what it is for and how to train with it")
    if _leaves_out_data(data, path.parent):
        hint = f'[tool.setuptools.package-data] "{given.subject.package}" = ["{_DATA[0]}", "{_DATA[1]}", "configs/**"]'
        yield say(
            "fail", "setuptools leaves plugin.toml, types.json and configs out of the wheel", "[build-system]", hint
        )


def judge_requirements(lines: list[str], given: Examination) -> Iterator[tuple[str, str, str, str]]:
    """Yield (status, message, first word of its line, hint) for what is wrong with a distribution's requirements."""
    from packaging.requirements import InvalidRequirement, Requirement

    engine = None
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement as err:
            yield "fail", f"`{line}` is no requirement: {err}", "dependencies", ""
            continue
        if wanted.name.lower() == "mimctl" and not (wanted.marker and "extra" in str(wanted.marker)):
            engine = wanted
    range_ = given.manifest.requires_engine if given.manifest is not None else None
    line = f"mimctl[engine]{range_ or ''}"
    if engine is None or "engine" not in engine.extras:
        yield "fail", "it does not require `mimctl[engine]`", "dependencies", f"add `{line}` to its dependencies"
    elif not engine.specifier.contains(__version__, prereleases=True):
        message = f"it requires `{engine}`, and this is mimctl {__version__}"
        yield "fail", message, "dependencies", f"require `{line}`"


def _leaves_out_data(data: Mapping[str, Any], folder: Path) -> bool:
    """Return whether setuptools builds the wheel and is not told of files that are no Python."""
    backend = str(data.get("build-system", {}).get("build-backend", "setuptools.build_meta"))
    told = data.get("tool", {}).get("setuptools", {}).get("package-data")
    return backend.startswith("setuptools") and not told and not (folder / "MANIFEST.in").is_file()


def _installed(given: Examination) -> Iterator[Finding]:
    subject = given.subject
    infos = [each for each in subject.import_root.glob("*.dist-info") if _is_of(each, subject.distribution or "")]
    if not infos:
        return
    info = infos[0]
    record = (info / "RECORD").read_text(encoding="utf-8", errors="replace") if (info / "RECORD").is_file() else None
    folder = subject.package.replace(".", "/")
    for name in _DATA if record is not None else ():
        if f"{folder}/{name}," not in (record or ""):
            origin = Origin(file=str(info / "RECORD"))
            yield Finding(check=NAME, status="fail", message=f"its wheel does not hold `{name}`", origin=origin)
    metadata = (info / "METADATA").read_text(encoding="utf-8", errors="replace")
    lines = [line.partition(":")[2].strip() for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    for status, message, _, hint in judge_requirements(lines, given):
        origin = Origin(file=str(info / "METADATA"))
        is_warning = status == "warn"
        yield Finding(
            check=NAME, status="warn" if is_warning else "fail", message=message, origin=origin, hints=(hint,)
        )


def _is_of(info: Path, distribution: str) -> bool:
    title = info.name.removesuffix(".dist-info").partition("-")[0]
    return re.sub(r"[-_.]+", "-", title).lower() == distribution
