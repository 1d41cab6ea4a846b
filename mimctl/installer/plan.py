"""Turn requests and facts into a plan: which wheels, which requirements, which torch, what stays (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment, Fact, Torch
from mimctl.errors import MimctlError, NoCompatibleBuildError, UsageError
from mimctl.index.model import Index, IndexFile
from mimctl.installer.closure import Closure, Pick, Wanted, close
from mimctl.installer.model import (
    Change,
    InstalledOwn,
    InstallOptions,
    InstallPlan,
    ProjectDecision,
    TorchChange,
    exact_requirement,
)
from mimctl.installer.names import PREFIX, parse_requests
from mimctl.resolution.names import CV2_NAMES as CV2_NAMES
from mimctl.resolution.names import OPENCV as OPENCV
from mimctl.resolution.names import TORCH_FAMILY as TORCH_FAMILY
from mimctl.selection.choose import Selection, choose, public_version
from mimctl.selection.refusal import refusal
from mimctl.selection.torch_build import MIN_TORCH, TorchBuild, choose_torch

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PIP_CONFIGURATION = "pip's configuration"
_TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""What a new environment is seeded with; a setuptools too old for torch among them. Not pinned."""


def make_plan(
    names: Sequence[str],
    *,
    env: Environment,
    index: Index,
    installed: Mapping[str, InstalledOwn],
    options: InstallOptions | None = None,
) -> InstallPlan:
    """Return what `names` need in `env`.

    A torch that joins the plan has no source yet (see `torch_source`). Raises MimctlError[unknown-plugin |
    not-in-index | torch-present], NoCompatibleBuildError where no build fits or the torch that is there is too old.
    """
    options = options or InstallOptions()
    requests = parse_requests(names, index, installed)
    torch = _torch_to_install(env, index, options)
    planner = _Planner(
        env=env if env.torch.value else _with_torch(env, torch or _usual_torch(env, index, options)),
        index=index,
        installed=installed,
        options=options,
        wanted=" ".join(names),
    )
    closure = close(requests, env, planner.pick)
    needs_torch = any(normalise(each.requirement.name) == "torch" for each in closure.others)
    torch_change = _torch_change(torch, closure, env) if needs_torch else None
    third_party = _third_party(closure, env)
    changes = (
        *(
            _own_change(pick, installed.get(name), closure.needed_by[name])
            for name, pick in closure.picks.items()
            if pick.file
        ),
        *([_torch_as_change(torch_change)] if torch_change else []),
        *third_party,
    )
    decisions = tuple(planner.decisions[name] for name in closure.picks if name in planner.decisions)
    return InstallPlan(
        target=env.target,
        environment=env,
        requested=tuple(dict.fromkeys(_with_extras(each) for each in requests)),
        decisions=decisions,
        changes=changes,
        wheels=tuple(pick.file for pick in closure.picks.values() if pick.file),
        third_party=tuple(each.requirement or each.name for each in third_party),
        torch=torch_change,
        constraints=_constraints(env, changes),
        notes=tuple(planner.notes),
        warnings=tuple(dict.fromkeys(each.selection.warning for each in decisions if each.selection.warning)),
        options=options,
    )


def firm_constraints(plan: InstallPlan) -> tuple[str, ...]:
    """Return the pins that hold even where a requirement needs something newer than what is there: torch's."""
    pins = [pin for pin in plan.constraints if pin.partition("=")[0] in TORCH_FAMILY]
    return (*pins, *([plan.torch.requirement] if plan.torch else []))


def located(plan: InstallPlan, torch: TorchChange) -> InstallPlan:
    """Return the plan with the place that its torch comes from."""
    changes = tuple(_torch_as_change(torch) if each.name == "torch" else each for each in plan.changes)
    return replace(plan, torch=torch, changes=changes)


@dataclass(slots=True, kw_only=True)
class _Planner:
    """Answers for our own distributions, and keeps the trace of how."""

    env: Environment
    index: Index
    installed: Mapping[str, InstalledOwn]
    options: InstallOptions
    wanted: str
    decisions: dict[str, ProjectDecision] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def pick(self, name: str, wanted: Sequence[Wanted]) -> Pick:
        """Return the file to install for `name`, or what is there where it does."""
        there = self.installed.get(name)
        files = self.index.project(name)
        if there is not None and _satisfies(there.version, wanted) and not (self.options.upgrade and files):
            return self._keep_or_replace(there, files, wanted)
        fitting = [file for file in files if _satisfies(file.version, wanted)]
        if not fitting:
            raise _not_in_index(name, wanted, files, self.index)
        selection = self._choose(name, fitting)
        if selection.chosen is None:
            raise refusal(self.env, name, selection, wanted=self.wanted, variant=self.options.variant)
        if there is not None and _is_same(there, selection.chosen):
            return self._kept(there, selection)
        return _picked(selection.chosen)

    def _keep_or_replace(self, there: InstalledOwn, files: Sequence[IndexFile], wanted: Sequence[Wanted]) -> Pick:
        same = [file for file in files if file.version == there.version or _is_sibling(there, file)]
        newer = choose(self.env, [file for file in files if _satisfies(file.version, wanted)], self.options.variant)
        if newer.chosen is not None and _is_newer(newer.chosen.version, there.version):
            note = f"{there.name} {newer.chosen.version} is in the index, {there.version} is installed"
            if note not in self.notes:
                self.notes.append(note)
        if not same or there.is_from_source or there.name == PREFIX:
            return self._kept(there, Selection(chosen=None, decisions=()))
        selection = self._choose(there.name, same)
        if selection.chosen is None:
            raise refusal(self.env, there.name, selection, wanted=self.wanted, variant=self.options.variant)
        return self._kept(there, selection) if _is_same(there, selection.chosen) else _picked(selection.chosen)

    def _choose(self, name: str, files: Iterable[IndexFile]) -> Selection:
        selection = choose(self.env, files, self.options.variant, verified=self.index.torch_verified)
        self.decisions[name] = ProjectDecision(project=name, selection=selection)
        return selection

    def _kept(self, there: InstalledOwn, selection: Selection) -> Pick:
        self.decisions[there.name] = ProjectDecision(project=there.name, selection=selection, kept=there.version)
        return Pick(name=there.name, version=there.version, requires_dist=there.requires_dist)


def _with_extras(requirement: Requirement) -> str:
    extras = ",".join(sorted(requirement.extras))
    return normalise(requirement.name) + (f"[{extras}]" if extras else "")


def _picked(file: IndexFile) -> Pick:
    return Pick(name=file.project, version=file.version, requires_dist=file.requires_dist, file=file)


def _is_same(there: InstalledOwn, file: IndexFile) -> bool:
    """Return whether the installed distribution is `file`, by the recorded hash or else by its build.

    One build may bear two versions, with its label (for mimctl) and without (for pip): these are the same.
    """
    if there.version != file.version:
        return _is_sibling(there, file) and file.build is not None and there.backend == file.build.backend
    if there.sha256 is not None:
        return there.sha256 == file.sha256
    return file.build is None or there.backend == file.build.backend


def _is_sibling(there: InstalledOwn, file: IndexFile) -> bool:
    """Return whether `file` is a build of the version that is installed; builds differ in their labels."""
    return file.build is not None and public_version(there.version) == public_version(file.version)


def _satisfies(version: str, wanted: Iterable[Wanted]) -> bool:
    return all(each.requirement.specifier.contains(version, prereleases=True) for each in wanted)


def _is_newer(version: str, than: str) -> bool:
    from packaging.version import Version

    return Version(public_version(version)) > Version(public_version(than))


def _not_in_index(name: str, wanted: Sequence[Wanted], files: Sequence[IndexFile], index: Index) -> MimctlError:
    from mimctl.transfer import redact

    by = sorted({f"{each.requirement}" + (f" (for {each.by})" if each.by else "") for each in wanted})
    versions = sorted({file.version for file in files})
    causes = [f"wanted: {', '.join(by)}"]
    causes.append(f"the index has {', '.join(versions)}" if versions else "the named indexes have no such project")
    causes.extend(f"looked in {redact(address)}" for address in index.addresses)
    return MimctlError(
        f"no fitting version of `{name}` in the index" if versions else f"`{name}` is in none of the indexes",
        code="not-in-index",
        causes=causes,
        hints=["names that begin with `mimctl` are taken from mimctl's indexes only; name one more: `--index ADDRESS`"],
    )


def _own_change(pick: Pick, there: InstalledOwn | None, needed_by: Sequence[str]) -> Change:
    file = pick.file
    assert file is not None
    from mimctl.transfer import redact

    same = there is not None and public_version(there.version) == public_version(file.version)
    return Change(
        action="install" if there is None else "replace" if same else "upgrade",
        name=pick.name,
        version=file.version,
        previous=there.version if there else None,
        source=redact(file.address),
        sha256=file.sha256,
        size=file.size,
        reason=f"{_build_words(file)}{'other than the one installed' if same else _for(needed_by)}",
    )


def _build_words(file: IndexFile) -> str:
    return f"the {file.build.backend} build, " if file.build else ""


def _for(needed_by: Sequence[str]) -> str:
    named = [each for each in needed_by if each]
    return f"for {', '.join(named)}" if named else "you asked for it"


def _torch_to_install(env: Environment, index: Index, options: InstallOptions) -> TorchBuild | None:
    """Return the torch that would join the plan; None where there is one or none is wanted."""
    there = env.torch.value
    if there is not None:
        if options.torch not in ("auto", "none", there.label, there.version, there.version.partition("+")[0]):
            raise MimctlError(
                f"torch {there.version} is installed, `--torch {options.torch}` asks for another",
                code="torch-present",
                causes=[f"found in {env.torch.source}", "mimctl never replaces a torch that is there"],
                hints=["remove it first: `python -m pip uninstall torch`", "or keep it: leave `--torch` out"],
            )
        return None
    return choose_torch(env, options.torch, verified=_verified(index, options))


def _usual_torch(env: Environment, index: Index, options: InstallOptions) -> TorchBuild | None:
    """Return the torch that wheels are chosen for where `--torch none` leaves it to the person."""
    return choose_torch(env, "auto", verified=_verified(index, options))


def _verified(index: Index, options: InstallOptions) -> str:
    if options.torch[:1].isdigit():
        return options.torch.partition("+")[0]
    if index.torch_verified is None:
        raise MimctlError(
            "the index does not say which torch it was verified with",
            code="bad-index",
            hints=["name a version: `--torch 2.13.0`", "or build the index again with `--matrix wheels-matrix.yaml`"],
        )
    return index.torch_default or index.torch_verified


def _with_torch(env: Environment, build: TorchBuild | None) -> Environment:
    if build is None:
        return env
    torch = Torch(version=build.full_version, cuda=build.cuda, hip=build.hip, path=None)
    return replace(env, torch=Fact(value=torch, source="to be installed"))


def _torch_change(torch: TorchBuild | None, closure: Closure, env: Environment) -> TorchChange | None:
    wanted = [each for each in closure.others if normalise(each.requirement.name) == "torch"]
    there = env.torch.value
    if there is not None:
        if not _satisfies(there.version, wanted):
            needs = sorted({f"{each.requirement} (for {each.by})" for each in wanted})
            raise NoCompatibleBuildError(
                f"torch {there.version} is too old",
                code="torch-too-old",
                causes=[f"needs {', '.join(needs)}", f"found in {env.torch.source}", "mimctl never replaces torch"],
                hints=[f"upgrade it yourself: `python -m pip install 'torch>={MIN_TORCH}'`, then repeat the command"],
            )
        return None
    if torch is None:
        return None
    if not _satisfies(torch.version, wanted):
        raise UsageError(
            f"torch {torch.version} does not satisfy what is to be installed",
            code="torch-too-old",
            causes=sorted({f"{each.requirement} (for {each.by})" for each in wanted}),
        )
    return TorchChange(version=torch.full_version, tag=torch.tag, reason=torch.reason)


def _torch_as_change(torch: TorchChange) -> Change:
    return Change(
        action="install",
        name="torch",
        version=torch.version,
        requirement=torch.requirement,
        source=torch.index_url or PIP_CONFIGURATION,
        reason=torch.reason,
    )


def _third_party(closure: Closure, env: Environment) -> tuple[Change, ...]:
    """Return a change for each requirement that what is installed does not satisfy, by name."""
    by_name: dict[str, list[Wanted]] = {}
    needs_torch = False
    for each in closure.others:
        name = normalise(each.requirement.name)
        needs_torch = needs_torch or name == "torch"
        if name != "torch" and not (name in CV2_NAMES and env.cv2.value is not None):
            by_name.setdefault(name, []).append(each)
    changes = [change for name, wanted in sorted(by_name.items()) if (change := _third_party_change(name, wanted, env))]
    if needs_torch and env.cv2.value is None and not CV2_NAMES & by_name.keys():
        reason = "the engine reads images with it; no cv2 module is installed"
        changes.append(
            Change(action="install", name=OPENCV, requirement=OPENCV, source=PIP_CONFIGURATION, reason=reason)
        )
    return tuple(changes)


def _third_party_change(name: str, wanted: Sequence[Wanted], env: Environment) -> Change | None:
    there = env.distributions.get(name)
    if there is not None and _satisfies_quietly(there.version, wanted):
        return None
    specifier = ",".join(sorted({str(part) for each in wanted for part in each.requirement.specifier}))
    extras = sorted({extra for each in wanted for extra in each.requirement.extras})
    return Change(
        action="install" if there is None else "upgrade",
        name=name,
        previous=there.version if there else None,
        requirement=name + (f"[{','.join(extras)}]" if extras else "") + specifier,
        source=PIP_CONFIGURATION,
        reason=_for(sorted({each.by for each in wanted})),
    )


def _satisfies_quietly(version: str, wanted: Sequence[Wanted]) -> bool:
    from packaging.version import InvalidVersion

    try:
        return _satisfies(version, wanted)
    except InvalidVersion:
        return True


def _constraints(env: Environment, changes: Iterable[Change]) -> tuple[str, ...]:
    """Return pins for what is there and not in `changes`."""
    changing = {change.name for change in changes} | _TOOLS
    torch = env.torch.value
    pins = {each.name: each.version for each in env.distributions.values() if each.name not in changing}
    if torch is not None:
        pins["torch"] = torch.version
    return tuple(
        exact_requirement(name, version) if name in TORCH_FAMILY else f"{name}=={version}"
        for name, version in sorted(pins.items())
    )
