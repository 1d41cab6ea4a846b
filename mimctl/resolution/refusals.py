"""Say why there is no answer: who wants what, in words, with the versions that there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mimctl.errors import IntegrityError, MimctlError, NoCompatibleBuildError, UsageError
from mimctl.index.model import IndexFile
from mimctl.resolution.candidates import NEVER, PYTHON, Candidates
from mimctl.resolution.model import Project
from mimctl.resolution.named_hashes import with_named_hash
from mimctl.resolution.names import TORCH_FAMILY, is_own
from mimctl.resolution.requirements import parse_version, satisfies
from mimctl.resolution.torch import torch_unavailable
from mimctl.selection.choose import Selection, choose
from mimctl.selection.refusal import refusal
from mimctl.selection.torch_build import MIN_TORCH

if TYPE_CHECKING:
    from mimctl.resolution.needs import DeadEnd, Need

_TOLD_VERSIONS = 8
_TOLD_NEEDS = 12


def explain(dead_end: DeadEnd, candidates: Candidates) -> MimctlError:
    """Return the error for a name that nothing serves."""
    name, needs = dead_end.name, [each for each in dead_end.needs if each.base is None]
    if name == NEVER:
        return _cannot_be_had(needs)
    if name == PYTHON:
        return _other_python(needs, candidates)
    if candidates.fixed(name) is not None:
        return _stays(name, needs, candidates)
    if name in candidates.provided:
        return _conflict(name, needs, candidates, [candidates.provided[name].metadata.version])
    if name == "torch":
        return _torch_to_come(needs, candidates)
    return _of_indexes(name, needs, candidates)


def _of_indexes(name: str, needs: Sequence[Need], candidates: Candidates) -> MimctlError:
    project = candidates.project(name)
    wanted = [file for file in project.files if _satisfies_all(file.version, needs)]
    named = candidates.options.hashes.get(name)
    if wanted and named is not None and not with_named_hash(wanted, named):
        return _other_files(name, named, wanted)
    if wanted:
        selection = choose(candidates.env, wanted, candidates.options.variant, verified=candidates.options.verified)
        if selection.chosen is None:
            return _no_build(name, needs, project, selection, candidates)
        return _conflict(name, needs, candidates, candidates.versions(name))
    sdists = [version for version in _sdist_versions(project) if _satisfies_all(version, needs)]
    if sdists:
        return only_sdist(name, needs, project, sdists)
    if any(_none_satisfies(project, need) for need in needs) or not project.files:
        return _not_in_index(name, needs, project)
    return _conflict(name, needs, candidates, candidates.versions(name))


def _other_files(name: str, named: frozenset[str], files: Sequence[IndexFile]) -> MimctlError:
    causes = [f"sha256 named   {each}" for each in sorted(named)]
    causes += [f"sha256 offered {file.sha256 or 'none'} ({file.filename})" for file in files[:_TOLD_VERSIONS]]
    return IntegrityError(
        f"no file of `{name}` has the hash that was named",
        code="hash-mismatch",
        causes=causes,
        hints=["name the hash of the file that is to be taken: `--hash=sha256:…`"],
    )


def _no_build(
    name: str, needs: Sequence[Need], project: Project, selection: Selection, candidates: Candidates
) -> MimctlError:
    sdists = [version for version in _sdist_versions(project) if _satisfies_all(version, needs)]
    if sdists and not is_own(name):
        return only_sdist(name, needs, project, sdists, [each.file for each in selection.rejected])
    options = candidates.options
    return refusal(candidates.env, name, selection, wanted=options.typed or name, variant=options.variant)


def only_sdist(
    name: str, needs: Sequence[Need], project: Project, versions: Sequence[str], rejected: Sequence[IndexFile] = ()
) -> MimctlError:
    """Return the error for a project that has only source distributions for this environment."""
    causes = [_who_wants(needs), f"source distributions: {_some(versions)}; building one runs its code"]
    if rejected:
        causes.append(f"wheels that do not fit: {_some(sorted({each.filename for each in rejected}))}")
    causes += [f"looked in {each}" for each in project.looked_in]
    return NoCompatibleBuildError(
        f"`{name}` has no wheel for this environment, only its source",
        code="only-sdist",
        causes=causes,
        hints=[
            f"build it on purpose: `mimctl install {name} --build {name}`",
            f"or build a wheel yourself and name it: `python -m pip wheel --no-deps {name}`, "
            f"`mimctl install ./{name.replace('-', '_')}-….whl`",
        ],
    )


def _not_in_index(name: str, needs: Sequence[Need], project: Project) -> MimctlError:
    versions = _versions(project)
    wanted = sorted(
        {f"{each.wanted.requirement}" + (f" (for {each.wanted.by})" if each.wanted.by else "") for each in needs}
    )
    causes = [f"wanted: {', '.join(wanted)}"]
    causes.append(f"the index has {_some(versions)}" if versions else "the named indexes have no such project")
    causes += [f"looked in {each}" for each in project.looked_in]
    hint = "names that begin with `mimctl` are taken from mimctl's indexes only; name one more: `--index ADDRESS`"
    return MimctlError(
        f"no fitting version of `{name}` in the index" if versions else f"`{name}` is in none of the indexes",
        code="not-in-index",
        causes=causes,
        hints=[hint] if is_own(name) else ["check its spelling", "or name a place that has it: `--find-links DIR`"],
    )


def _stays(name: str, needs: Sequence[Need], candidates: Candidates) -> MimctlError:
    """Return the error for what is installed of torch's family and does not serve."""
    version = candidates.version_there(name) or ""
    unmet = [each for each in needs if not satisfies(version, each.specifier)]
    if name in candidates.provided:
        return MimctlError(
            f"{name} {version} is installed",
            code="torch-present",
            causes=[f"`{candidates.provided[name].origin}` would replace it", f"mimctl never replaces {name}"],
            hints=[f"remove it first: `python -m pip uninstall {name}`"],
        )
    if name == "torch" and unmet and any(_wants_newer(each, version) for each in unmet):
        needed = sorted({f"{each.wanted.requirement} (for {each.wanted.by or 'you'})" for each in unmet})
        return NoCompatibleBuildError(
            f"torch {version} is too old",
            code="torch-too-old",
            causes=[
                f"needs {', '.join(needed)}",
                f"found in {candidates.env.torch.source}",
                "mimctl never replaces torch",
            ],
            hints=[f"upgrade it yourself: `python -m pip install 'torch>={MIN_TORCH}'`, then repeat the command"],
        )
    return MimctlError(
        f"the installed {name} {version} does not go with what is to be installed",
        code="conflicting-requirements",
        causes=[_who_wants(unmet or needs), f"mimctl never replaces {name}"],
        hints=[
            f"ask for versions that work with {name} {version}",
            "or work in a new environment: `python3 -m venv .venv`",
        ],
    )


def _torch_to_come(needs: Sequence[Need], candidates: Candidates) -> MimctlError:
    build = candidates.options.torch
    if build is None:
        return MimctlError(
            "torch is not installed, and no index of mimctl's says which one to take",
            code="torch-unavailable",
            causes=[_who_wants(needs)],
            hints=["name a version: `--torch 2.13.0`", "or an index of mimctl's: `--index ADDRESS`"],
        )
    if all(satisfies(build.full_version, each.specifier) for each in needs):
        return torch_unavailable(build, candidates.project("torch"), candidates.env.interpreter_tag)
    return UsageError(
        f"torch {build.version} does not satisfy what is to be installed",
        code="torch-too-old",
        causes=sorted({f"{each.wanted.requirement} (for {each.wanted.by or 'you'})" for each in needs}),
        hints=["choose another: `--torch 2.12.0`, …"],
    )


def _conflict(name: str, needs: Sequence[Need], candidates: Candidates, versions: Sequence[str]) -> MimctlError:
    there = candidates.version_there(name)
    causes = [
        f"{_who_wants(needs)}; there {'are' if len(versions) > 1 else 'is'} {name} {_some(versions) or 'no version'}"
    ]
    if there is not None:
        causes.append(f"{name} {there} is installed")
    if any(each.wanted.by in TORCH_FAMILY for each in needs):
        causes.append("mimctl never replaces torch, so what torch wants stands")
    theirs = sorted({each.wanted.by for each in needs if candidates.installed.get(each.wanted.by) is not None})
    hints = ["ask for other versions, or for fewer things at once"]
    hints += [f"or remove what you do not need: `mimctl uninstall {' '.join(theirs)}`"] if theirs else []
    return MimctlError(
        f"no version of `{name}` suits everyone who wants it",
        code="conflicting-requirements",
        causes=causes,
        hints=[*hints, "or work in a new environment: `python3 -m venv .venv`"],
    )


def _other_python(needs: Sequence[Need], candidates: Candidates) -> MimctlError:
    python = candidates.env.python.value
    causes = [
        f"{each.wanted.by} needs Python {each.specifier}" for each in needs if not satisfies(python, each.specifier)
    ]
    return NoCompatibleBuildError(
        f"what is to be installed does not work with Python {python}",
        causes=sorted(set(causes)),
        hints=["make an environment with another Python, and name it: `--python PATH`"],
    )


def _cannot_be_had(needs: Sequence[Need]) -> MimctlError:
    return MimctlError(
        "a distribution needs something that cannot be had",
        code="conflicting-requirements",
        causes=list(dict.fromkeys(each.why for each in needs)),
        hints=["ask for another version of it"],
    )


def _who_wants(needs: Iterable[Need]) -> str:
    """Return one sentence: `mimctl-det wants numpy>=2, you want numpy<2`."""
    words = []
    for each in needs:
        who = each.wanted.by
        words.append(f"{who} wants {each.wanted.requirement}" if who else f"you want {each.wanted.requirement}")
    told = list(dict.fromkeys(words))
    more = len(told) - _TOLD_NEEDS
    return ", ".join(told[:_TOLD_NEEDS]) + (f" and {more} more" if more > 0 else "")


def _wants_newer(need: Need, version: str) -> bool:
    than = parse_version(version)
    for part in need.specifier:
        wanted = parse_version(part.version.removesuffix(".*"))
        if (
            part.operator in (">=", ">", "~=", "==", "===")
            and wanted is not None
            and than is not None
            and wanted > than
        ):
            return True
    return False


def _satisfies_all(version: str, needs: Iterable[Need]) -> bool:
    return all(satisfies(version, each.specifier) for each in needs)


def _none_satisfies(project: Project, need: Need) -> bool:
    return not any(satisfies(file.version, need.specifier) for file in project.files)


def _versions(project: Project) -> list[str]:
    def key(text: str) -> tuple[bool, object]:
        parsed = parse_version(text)
        return (parsed is not None, parsed or text)

    return sorted({file.version for file in project.files}, key=key)


def _sdist_versions(project: Project) -> list[str]:
    """Return the versions of a project's source distributions, the newest first."""
    from packaging.utils import InvalidSdistFilename, parse_sdist_filename
    from packaging.version import InvalidVersion

    found = set()
    for filename in project.sdists:
        try:
            found.add(parse_sdist_filename(filename)[1])
        except (InvalidSdistFilename, InvalidVersion):
            continue
    return [str(version) for version in sorted(found, reverse=True)]


def _some(versions: Sequence[str]) -> str:
    more = len(versions) - _TOLD_VERSIONS
    return ", ".join(versions[:_TOLD_VERSIONS]) + (f" and {more} more" if more > 0 else "")
