"""Turn a resolution into a plan: what changes, from where, and why (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.installer.model import Action, Change, InstallOptions, InstallPlan, ProjectDecision, TorchChange
from mimctl.resolution.model import Installed, Pick, Resolution, Wanted
from mimctl.resolution.names import CV2_NAMES, is_own
from mimctl.resolution.provider import CV2_REASON
from mimctl.resolution.requirements import is_same_version, parse_version
from mimctl.selection.choose import Accepted
from mimctl.selection.order import public_version
from mimctl.selection.torch_build import TorchBuild

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def make_plan(
    resolution: Resolution,
    requests: Sequence[Wanted],
    *,
    env: Environment,
    installed: Installed,
    torch: TorchBuild | None = None,
    options: InstallOptions | None = None,
) -> InstallPlan:
    """Return what changes in `env` so that it holds `resolution`.

    `torch` is the build that was chosen where there was none.
    """
    changing = {
        name: pick for name, pick in resolution.picks.items() if not pick.is_kept and not _is_there(pick, installed)
    }
    torch_change = _torch_change(changing.get("torch"), torch)
    changes = [_change(pick, resolution, installed) for pick in _in_order(changing)]
    if torch_change is not None:
        changes = [replace(each, reason=torch_change.reason) if each.name == "torch" else each for each in changes]
    decisions = tuple(
        ProjectDecision(project=name, selection=selection, kept=pick.version if pick.is_kept else None)
        for name, selection in resolution.decisions.items()
        if (pick := resolution.picks[name])
    )
    warnings = (each.selection.warning for each in decisions)
    return InstallPlan(
        target=env.target,
        environment=env,
        requested=tuple(dict.fromkeys(with_extras(each.requirement) for each in requests)),
        decisions=decisions,
        changes=tuple(changes),
        wheels=tuple(pick.file for pick in changing.values() if pick.file),
        provided=tuple(pick.provided for pick in changing.values() if pick.provided),
        metadata={pick.file.filename: pick.metadata for pick in changing.values() if pick.file and pick.metadata},
        reinstalled=_named(requests) if options is not None and options.reinstall else (),
        torch=torch_change,
        notes=tuple(_notes(resolution)),
        warnings=tuple(dict.fromkeys(each for each in warnings if each)),
        options=options or InstallOptions(),
    )


def with_extras(requirement: Requirement) -> str:
    """Return the name of a requirement with its extras: `mimctl[engine]`."""
    extras = ",".join(sorted(requirement.extras))
    return normalise(requirement.name) + (f"[{extras}]" if extras else "")


def _named(requests: Iterable[Wanted]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(normalise(each.requirement.name) for each in requests))


def _is_there(pick: Pick, installed: Installed) -> bool:
    """Return whether something provided is what is installed, by the recorded hash."""
    there = installed.get(pick.name)
    given = pick.provided
    return (
        there is not None
        and given is not None
        and given.editable is None
        and given.sha256 is not None
        and given.sha256 == there.sha256
    )


def _in_order(changing: Mapping[str, Pick]) -> list[Pick]:
    """Return ours in the order in which they are needed, then torch, then the rest by name."""
    own = [pick for name, pick in changing.items() if is_own(name)]
    others = sorted((pick for name, pick in changing.items() if not is_own(name)), key=lambda pick: pick.name)
    return [*own, *sorted(others, key=lambda pick: pick.name != "torch")]


def _change(pick: Pick, resolution: Resolution, installed: Installed) -> Change:
    there = installed.get(pick.name)
    return Change(
        action=_action(there.version if there else None, pick.version),
        name=pick.name,
        version=pick.version,
        previous=there.version if there else None,
        source=_source(pick),
        sha256=pick.file.sha256 if pick.file else pick.provided.sha256 if pick.provided else None,
        size=pick.file.size if pick.file else None,
        reason=_reason(
            pick, resolution, is_replaced=there is not None and _is_public_same(there.version, pick.version)
        ),
    )


def _action(there: str | None, version: str) -> Action:
    if there is None:
        return "install"
    if _is_public_same(there, version):
        return "replace"
    before, after = parse_version(there), parse_version(version)
    return "downgrade" if before is not None and after is not None and after < before else "upgrade"


def _is_public_same(one: str, other: str) -> bool:
    return is_same_version(public_version(one), public_version(other))


def _source(pick: Pick) -> str:
    from mimctl.transfer import redact

    if pick.provided is not None:
        return pick.provided.origin
    return redact(pick.file.address or pick.file.url) if pick.file else ""


def _reason(pick: Pick, resolution: Resolution, *, is_replaced: bool) -> str:
    build = pick.file.build if pick.file else None
    words = f"the {build.backend} build, " if build else ""
    if is_replaced:
        return f"{words}other than the one installed"
    by = sorted({each.by for each in pick.needed_by})
    if pick.name in CV2_NAMES and by == [CV2_REASON]:
        return "the engine reads images with it; no cv2 module is installed"
    if not by and pick.goes_with:
        changed = [f"{name} {resolution.picks[name].version}" for name in pick.goes_with if name in resolution.picks]
        return f"to go with {', '.join(changed)}, which it requires"
    return f"{words}{_for(by)}"


def _for(needed_by: Iterable[str]) -> str:
    needed_by = list(needed_by)
    return f"for {', '.join(needed_by)}" if needed_by and "" not in needed_by else "you asked for it"


def _torch_change(pick: Pick | None, build: TorchBuild | None) -> TorchChange | None:
    if pick is None:
        return None
    if build is None:
        return TorchChange(version=pick.version, tag=None, reason="you asked for it")
    is_plain = build.tag is not None and "+" not in pick.version
    reason = f"{build.reason}; without label it is the {build.tag} build" if is_plain else build.reason
    return TorchChange(version=pick.version, tag=build.tag, reason=reason)


def _notes(resolution: Resolution) -> Iterable[str]:
    """Yield what of ours is newer in the index than what stays, or than what goes with the rest."""
    for name, selection in resolution.decisions.items():
        pick = resolution.picks[name]
        fitting = (
            [each.file.version for each in selection.decisions if isinstance(each, Accepted)] if is_own(name) else []
        )
        newest = next((version for version in fitting if _is_newer(version, pick.version)), None)
        if newest is not None and pick.is_kept:
            yield f"{name} {newest} is in the index, {pick.version} is installed"
        elif newest is not None:
            yield f"{name} {newest} is in the index and does not go with the rest; {pick.version} does"


def _is_newer(version: str, than: str) -> bool:
    one, other = parse_version(public_version(version)), parse_version(public_version(than))
    return one is not None and other is not None and one > other and one.is_prerelease <= other.is_prerelease
