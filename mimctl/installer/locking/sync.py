"""What brings an environment to its lock: which of the lock's environments it is, what changes, what is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from mimctl.environment.model import Environment
from mimctl.errors import IntegrityError, MimctlError, NoCompatibleBuildError
from mimctl.index.model import IndexFile
from mimctl.installer.locking.reading import Entry, Lock
from mimctl.installer.locking.sync_place import check_torch, choose_cell
from mimctl.installer.locking.torch_choice import with_torch
from mimctl.installer.model import Change, InstallPlan
from mimctl.installer.plan import make_plan
from mimctl.resolution.model import Installed, Pick, Present, Resolution, Wanted
from mimctl.resolution.names import CV2_NAMES, PREFIX, TORCH_FAMILY
from mimctl.resolution.requirements import is_same_version, marker_environment, readable_requirements
from mimctl.selection.choose import Selection, choose
from mimctl.selection.refusal import describe_facts

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv"})


def plan_sync(
    lock: Lock, env: Environment, installed: Installed, *, words: str | None = None, is_exact: bool = False
) -> InstallPlan:
    """Return what changes in `env` so that it holds what `lock` has for it; with `is_exact` the rest is removed.

    `words` names one of the lock's environments (or its group) where the machine could be several. Raises
    MimctlError[not-locked | torch-locked | bad-lock], IntegrityError[hash-changed] where an installed version came from
    another file, NoCompatibleBuildError for a build that this machine does not run.
    """
    cell = choose_cell(lock, env, words)
    groups = lock.groups_of(cell) if cell is not None else lock.default_groups()
    entries = lock.entries_for(env, groups)
    target = env
    if "torch" in entries:
        check_torch(lock, env, entries["torch"])
        if env.torch.value is None:
            target = with_torch(env, entries["torch"].version, cell.accelerator if cell else "")
    picks: dict[str, Pick] = {}
    decisions: dict[str, Selection] = {}
    notes = []
    for name, entry in entries.items():
        other = _other_opencv(env, installed, name, entries)
        if other is not None:
            notes.append(f"{name} is left out: {other} is there and brings the same module")
            continue
        pick, selection = _pick(entry, target, installed, lock)
        picks[name] = pick
        if selection is not None:
            decisions[name] = selection
    _check_family(env, installed, entries, lock)
    from packaging.requirements import Requirement

    roots = [Wanted(requirement=Requirement(name)) for name in picks]
    plan = make_plan(Resolution(picks=picks, decisions=decisions), roots, env=env, installed=installed)
    changes = [replace(each, reason=f"{lock.path.name} has it") for each in plan.changes]
    if is_exact:
        changes += [_removal(each, lock) for each in _surplus(env, installed, picks)]
    return replace(plan, changes=tuple(changes), notes=(*plan.notes, *notes))


def _check_family(env: Environment, installed: Installed, entries: dict[str, Entry], lock: Lock) -> None:
    """Raise where a relative of torch is installed in another version than the locked one: it never changes either."""
    for name in sorted(TORCH_FAMILY - {"torch"}):
        there, entry = installed.get(name), entries.get(name)
        if there is not None and entry is not None and not is_same_version(there.version, entry.version):
            raise MimctlError(
                f"`{lock.path.name}` has {name} {entry.version}, {there.version} is installed",
                code="torch-locked",
                causes=["mimctl never replaces what belongs to a torch that is there"],
                hints=[f"remove it first: `{env.target.python} -m pip uninstall {name}`"],
            )


def _pick(entry: Entry, env: Environment, installed: Installed, lock: Lock) -> tuple[Pick, Selection | None]:
    """Return what is done about one package: what is there stays where it is the locked one."""
    there = installed.get(entry.name)
    by = (Wanted(requirement=_exactly(entry), by=lock.path.name),)
    if entry.name in TORCH_FAMILY and there is not None:
        return Pick(name=entry.name, version=there.version, needed_by=by), None
    if entry.name == "torch" and env.torch.value is not None and env.torch.value.path is not None:
        return Pick(name="torch", version=env.torch.value.version, needed_by=by), None
    selection = choose(env, entry.files, takes_yanked=True)
    if selection.chosen is None:
        raise _no_wheel(entry, env, selection, lock)
    if there is not None and is_same_version(there.version, entry.version):
        _check_hash(there, selection.chosen, entry)
        return Pick(name=entry.name, version=there.version, needed_by=by), None
    return Pick(name=entry.name, version=entry.version, needed_by=by, file=selection.chosen), selection


def _exactly(entry: Entry) -> Requirement:
    from packaging.requirements import Requirement

    return Requirement(f"{entry.name}=={entry.version}")


def _check_hash(there: Present, chosen: IndexFile, entry: Entry) -> None:
    """Raise where the installed distribution is known to come from none of the locked wheels."""
    if there.is_from_source or there.sha256 is None or there.sha256 in {file.sha256 for file in entry.files}:
        return
    raise IntegrityError(
        f"{there.name} {there.version} was installed from another file than the locked one",
        code="hash-changed",
        causes=[f"sha256 installed {there.sha256}", f"sha256 locked    {chosen.sha256}"],
        hints=[f"if the locked one is meant: `mimctl uninstall {there.name}`, then sync again"],
        details={"expected": chosen.sha256, "found": there.sha256},
    )


def _no_wheel(entry: Entry, env: Environment, selection: Selection, lock: Lock) -> MimctlError:
    return NoCompatibleBuildError(
        f"no wheel of `{entry.name}` {entry.version} in `{lock.path.name}` fits this environment",
        causes=[
            describe_facts(env),
            *(f"{each.file.filename}: {each.reason}" for each in selection.rejected),
        ],
        hints=["lock for this machine too: `mimctl lock --for SYSTEM-MACHINE-ACCELERATOR`, beside what is covered"],
    )


def _other_opencv(env: Environment, installed: Installed, name: str, entries: Collection[str]) -> str | None:
    """Return what brings cv2 already where a lock would bring a second OpenCV beside it."""
    if name not in CV2_NAMES or installed.get(name) is not None:
        return None
    there = [each for each in sorted(CV2_NAMES) if installed.get(each) is not None and each not in entries]
    return there[0] if there else str(env.cv2.value) if env.cv2.value is not None else None


def _surplus(env: Environment, installed: Installed, picks: Collection[str]) -> list[Present]:
    """Return what is installed and not locked: neither installers nor torch, mimctl, and what these need."""
    protected = {name for name in (*_TOOLS, *TORCH_FAMILY, PREFIX) if installed.get(name) is not None}
    needed = _with_requirements(env, installed, protected)
    names = sorted(set(installed.names()) - set(picks) - needed - _TOOLS)
    return [there for name in names if (there := installed.get(name)) is not None]


def _with_requirements(env: Environment, installed: Installed, names: Iterable[str]) -> set[str]:
    from mimctl.environment.distributions import normalise

    markers = marker_environment(env)
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        wanted = readable_requirements(installed.requires_dist(name), "", markers, by=name)
        queue += [normalise(each.requirement.name) for each in wanted]
    return found


def _removal(there: Present, lock: Lock) -> Change:
    return Change(
        action="remove", name=there.name, previous=there.version, reason=f"not in {lock.path.name} (`--exact`)"
    )
