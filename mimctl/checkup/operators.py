"""Check the operators: does the library load, is the build the one that suits, and which wheel would fit."""

from __future__ import annotations

from mimctl.checkup.commands import installer_call
from mimctl.checkup.model import Check, Facts, Fix
from mimctl.environment.installed import Ops
from mimctl.environment.model import Environment
from mimctl.index.model import IndexFile
from mimctl.installer.operators import OPS_PROJECT, OpsAnswer
from mimctl.selection.choose import choose
from mimctl.selection.installed import builds_to_choose_from, is_installed, why_second_best, why_unfit
from mimctl.selection.refusal import refusal
from mimctl.transfer import redact


def operators(facts: Facts) -> Check | None:
    """An operator is served by what suits this torch and this machine, and the library really loads."""
    ops = facts.env.ops.value
    if ops is None:
        return _absent(facts)
    if facts.ops is None:
        return None  # without torch there is nothing to load it into; the check of torch says so
    problem = _problem(ops, facts.ops)
    if problem is not None:
        return _cannot_serve(facts, ops, problem)
    tier = str((facts.ops.status or {}).get("tier"))
    if ops.asked == "python" and ops.backend != "python":
        return Check(name="ops", status="ok", summary=f"pure PyTorch, as MIMCTL_OPS asks; {_words(ops)} is installed")
    unfit, better = why_unfit(facts.env), _better(facts)
    if unfit is None and better is not None and not is_installed(facts.env, better):
        unfit = why_second_best(facts.env)
    if unfit is not None:
        return Check(
            name="ops",
            status="warn",
            summary=f"{_words(ops)} does not suit this environment",
            code="ops-build",
            causes=(unfit,),
            hints=_way_to(facts, better),
            fix=_bring(better),
        )
    if tier == "python":
        return _pure(facts, ops, better)
    count = (facts.ops.status or {}).get("ops")
    number = f", {len(count)} operators" if isinstance(count, list) else ""
    return Check(name="ops", status="ok", summary=f"compiled, {_words(ops)}{_half(facts.env, ops)}{number}")


def _absent(facts: Facts) -> Check | None:
    env, better = facts.env, _better(facts)
    recorded = env.distributions.get(OPS_PROJECT)
    if recorded is not None:
        return Check(
            name="ops",
            status="fail",
            summary=f"mimctl-ops {recorded.version} is installed, its package is gone",
            code="ops-cannot-load",
            causes=(env.ops.source,),
            hints=(f"install it anew: `{_anew(env, better)}`",) if better else _way_to(facts, None),
            fix=_bring(better, anew=True),
        )
    if not facts.plugins:
        return None
    return Check(
        name="ops",
        status="warn",
        summary="mimctl-ops is not installed",
        code="ops-build",
        causes=(env.ops.source,),
        hints=_way_to(facts, better),
        fix=_bring(better),
    )


def _bring(better: IndexFile | None, *, anew: bool = False) -> Fix | None:
    """Return the fix that brings the build that fits, None where the index has none."""
    if better is None:
        return None
    return Fix(reinstall=(OPS_PROJECT,)) if anew else Fix(install=(OPS_PROJECT,))


def _problem(ops: Ops, answer: OpsAnswer) -> str | None:
    """Return why no operator could be called, None where it could."""
    if answer.status is None:
        return answer.problem
    tier, error = answer.status.get("tier"), answer.status.get("error")
    if tier == "failed":
        return str(error)
    if tier == "python" and ops.backend not in (None, "python") and ops.asked != "python":
        return f"it is the {ops.backend} build, and its library is missing: {ops.path}"
    return None if tier in ("compiled", "python") else f"it names a tier that this mimctl does not know: {tier}"


def _cannot_serve(facts: Facts, ops: Ops, problem: str) -> Check:
    causes = [*([facts.other_platform] if facts.other_platform else []), problem]
    fix = None
    torch, better = facts.env.torch.value, _better(facts)
    if ops.min_torch and torch is not None:
        causes.append(f"it needs torch >= {ops.min_torch}; torch {torch.version} is installed")
    meanwhile = "or compute more slowly in pure PyTorch: set `MIMCTL_OPS=python`"
    if ops.asked not in (None, "python"):
        hints: tuple[str, ...] = ("unset MIMCTL_OPS, or set it to `python` for pure PyTorch",)
    elif better is not None and facts.other_platform:
        hints, fix = (*_way_to(facts, better), meanwhile), _bring(better, anew=True)
    elif better is not None and is_installed(facts.env, better):
        causes.append(f"{better.label} is the build that fits: the installed file, or a library it needs, is damaged")
        hints = (f"install it anew: `{_anew(facts.env, better)}`", meanwhile)
        fix = _bring(better, anew=True)
    else:
        said = facts.ops.status.get("hint") if facts.ops is not None and facts.ops.status is not None else None
        hints = (said,) if isinstance(said, str) and facts.index is None else (*_way_to(facts, better), meanwhile)
        fix = _bring(better)
    return Check(
        name="ops",
        status="fail",
        summary=f"{_words(ops)} cannot be loaded",
        code="ops-cannot-load",
        causes=tuple(causes),
        hints=hints,
        fix=fix,
    )


def _pure(facts: Facts, ops: Ops, better: IndexFile | None) -> Check:
    if better is None or better.build is None or not better.build.is_compiled:
        return Check(name="ops", status="ok", summary=f"pure PyTorch, {_words(ops)}")
    return Check(
        name="ops",
        status="warn",
        summary=f"pure PyTorch, {_words(ops)}: slower than it could be",
        code="ops-build",
        causes=(f"the index has a compiled build that fits: {better.label}",),
        hints=_way_to(facts, better),
        fix=_bring(better),
    )


def _better(facts: Facts) -> IndexFile | None:
    """Return the build that the index has for this environment."""
    return choose(facts.env, _candidates(facts)).chosen


def _candidates(facts: Facts) -> tuple[IndexFile, ...]:
    return builds_to_choose_from(facts.env, facts.index.project(OPS_PROJECT)) if facts.index else ()


def _way_to(facts: Facts, better: IndexFile | None) -> tuple[str, ...]:
    """Return what to type for the build that fits, or for what comes nearest to one."""
    if better is not None:
        return (f"{better.label} fits: `mimctl install {OPS_PROJECT}`",)
    candidates = _candidates(facts)
    if candidates:
        selection = choose(facts.env, candidates)
        return tuple(dict.fromkeys(refusal(facts.env, OPS_PROJECT, selection, wanted=OPS_PROJECT).hints))
    if facts.index is not None and facts.index.project(OPS_PROJECT):
        return (f"the index has other versions only: `mimctl install {OPS_PROJECT} --upgrade`",)
    return (f"install the build that fits: `mimctl install {OPS_PROJECT} --index ADDRESS`",)


def _anew(env: Environment, file: IndexFile) -> str:
    return f"{installer_call(env, 'install')} --force-reinstall --no-deps {redact(file.url)}"


def _words(ops: Ops) -> str:
    version = f"mimctl-ops {ops.version}" if ops.version else f"mimctl-ops in {ops.path}"
    backend = "" if ops.version and ops.version.endswith(f"+{ops.backend}") else f", {ops.backend} build"
    return f"{version}{backend}" + (f", CUDA {ops.toolkit}" if ops.toolkit else "")


def _half(env: Environment, ops: Ops) -> str:
    torch = env.torch.value
    is_idle = ops.toolkit is not None and torch is not None and torch.backend == "cpu"
    return ", its CPU half as torch is a CPU build" if is_idle else ""
