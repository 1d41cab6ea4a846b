"""Decide from what is installed alone that nothing is to do: no index is read, no network touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.model import InstallOptions, InstallPlan
from mimctl.resolution.names import PREFIX, is_own

_UNFINISHED = ".mimctl-transaction"
if TYPE_CHECKING:
    from packaging.requirements import Requirement


def plan_nothing(names: Sequence[str], *, env: Environment, options: InstallOptions) -> InstallPlan | None:
    """Return the plan of what needs none; None where there is more to it.

    Little is imported for it: most of the time that this takes is imports.
    """
    if options.names_places or (env.paths.purelib.parent / _UNFINISHED).is_dir():
        return None
    satisfied = find_satisfied(names, env=env, options=options)
    if satisfied is None:
        return None
    warnings = _warnings(env, satisfied)
    return InstallPlan(target=env.target, environment=env, requested=satisfied, options=options, warnings=warnings)


def find_satisfied(names: Sequence[str], *, env: Environment, options: InstallOptions) -> tuple[str, ...] | None:
    """Return the distributions that `names` mean, where all of them are there, complete all the way down, and fit.

    None where that is not so, or cannot be told without an index: then a plan has to be made.
    """
    if options.upgrade or options.upgrade_all or options.reinstall or not _is_torch_wanted(env, options.torch):
        return None
    if env.cv2.value is None or not _suit(env, options.variant):
        return None
    found = [_installed(name, env) for name in names]
    roots = tuple(each for each in found if each is not None)
    from mimctl.installer.verify import missing_requirements

    try:
        complete = len(roots) == len(found) and not missing_requirements(env, roots)
    except MimctlError:
        return None
    return tuple(dict.fromkeys(roots)) if complete else None


def _warnings(env: Environment, satisfied: Sequence[str]) -> tuple[str, ...]:
    """Return what an installation would say of torch: by what the index said when something was installed last."""
    torch = env.torch.value
    if torch is None or env.ops.value is None or not any(is_own(name) and name != PREFIX for name in satisfied):
        return ()
    from mimctl.installer.record import read_record

    record = read_record(env.paths.search)
    if record is None or record.verified is None or torch.version.partition("+")[0] == record.verified:
        return ()
    from mimctl.selection.warnings import newer_than_verified

    warning = newer_than_verified(env, record.verified)
    return (warning,) if warning else ()


def _installed(word: str, env: Environment) -> str | None:
    """Return the requirement that a word means, if what is installed satisfies it."""
    from packaging.requirements import InvalidRequirement

    from mimctl.resolution.requirements import parse_requirement, satisfies

    try:
        requirement = parse_requirement(word)
    except InvalidRequirement:
        return None
    name = _distribution(requirement, env)
    if name is None or requirement.url is not None or requirement.marker is not None:
        return None
    if not satisfies(env.distributions[name].version, requirement.specifier):
        return None
    return name + (f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else "")


def _distribution(requirement: Requirement, env: Environment) -> str | None:
    """Return the installed distribution that is meant; other names than ours only where a version makes that clear."""
    name = normalise(requirement.name)
    if not is_own(name) and f"{PREFIX}-{name}" in env.distributions:
        return f"{PREFIX}-{name}"
    from mimctl.plugin.openmmlab import OPENMMLAB_NAMES

    alias = OPENMMLAB_NAMES.get(name)
    if alias is not None and not requirement.specifier:
        name = f"{PREFIX}-{alias}"
    elif not is_own(name) and not requirement.specifier:
        return None
    return name if name in env.distributions else None


def _is_torch_wanted(env: Environment, wish: str) -> bool:
    there = env.torch.value
    return there is not None and wish in ("auto", "none", there.label, there.version, there.version.partition("+")[0])


def _suit(env: Environment, variant: str | None) -> bool:
    """Return whether the operators are a build that an index would not have a better one for."""
    ops = env.ops.value
    if ops is None:
        return variant is None
    torch = env.torch.value
    if variant in (None, "cpu") and ops.backend == "cpu" and torch is not None and torch.backend == "cpu":
        # Neither driver nor GPU counts: the files tell, and the rules need not be imported.
        return env.ops_tier.value == "compiled"
    from mimctl.selection.installed import why_unfit

    if ops.backend is None or why_unfit(env) is not None:
        return False
    return ops.backend == variant or (variant is None and ops.backend != "python")
