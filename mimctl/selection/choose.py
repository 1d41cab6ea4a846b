"""Choose one wheel among candidates and keep the decision on every one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mimctl.environment.model import Environment
from mimctl.errors import NoCompatibleBuildError
from mimctl.index.model import IndexFile
from mimctl.selection.rules import RULES, Wish
from mimctl.selection.tags import is_for_platform, supported_tags

if TYPE_CHECKING:
    from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A candidate that fits; `is_chosen` marks the best of them, `warning` says what nobody has tried."""

    file: IndexFile
    is_chosen: bool = False
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A candidate that does not fit, and why; `rule` is the name of the rule that says so."""

    file: IndexFile
    reason: str
    rule: str


Decision: TypeAlias = Accepted | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen file, if any, and the decision on every candidate, the greatest version first."""

    chosen: IndexFile | None
    decisions: tuple[Decision, ...]

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Return the candidates that do not fit."""
        return tuple(each for each in self.decisions if isinstance(each, Rejected))

    @property
    def warning(self) -> str | None:
        """Return what the chosen candidate is taken with."""
        return next((each.warning for each in self.decisions if isinstance(each, Accepted) and each.is_chosen), None)


def choose(
    env: Environment, candidates: Iterable[IndexFile], variant: str | None = None, *, verified: str | None = None
) -> Selection:
    """Return the best of `candidates` for `env`: the greatest version, compiled before pure Python.

    The pure-PyTorch build is taken by itself only where no candidate is compiled for this platform; `variant` asks
    for a build by its backend's name (`cpu`, `cu13`, `python`). Nothing is raised where none fits (see `refusal`).
    A local label tells builds of one version apart and says nothing of what is newer. `verified` is the newest torch
    that builds were verified with: with a newer one they are accepted with a warning.
    """
    files = tuple(candidates)
    wish = Wish(variant=variant, has_compiled=any(_is_compiled_here(env, file) for file in _one_of_each_kind(files)))
    problems = _judge_all(env, files, wish)
    ranks = _version_ranks(files)
    chosen = _best(env, files, problems, ranks)
    untried = newer_than_verified(env, verified)
    decisions: list[Decision] = []
    for place in sorted(range(len(files)), key=lambda at: (ranks[at], files[at].filename), reverse=True):
        file, problem = files[place], problems[place]
        if problem is None:
            warning = untried if file.build is not None else None
            decisions.append(Accepted(file=file, is_chosen=file is chosen, warning=warning))
        else:
            decisions.append(Rejected(file=file, rule=problem[0], reason=problem[1]))
    return Selection(chosen=chosen, decisions=tuple(decisions))


def newer_than_verified(env: Environment, verified: str | None) -> str | None:
    """Return the warning where `env` has a newer torch than the newest that builds were verified with, else None."""
    from packaging.version import InvalidVersion, Version

    torch = env.torch.value
    if torch is None or verified is None:
        return None
    try:
        if Version(public_version(torch.version)) <= Version(public_version(verified)):
            return None
    except InvalidVersion:
        return None
    return f"torch {torch.version} is newer than {verified}, the newest that the index was verified with"


def public_version(version: str) -> str:
    """Return a version without its local label: `0.3.0+cu13` → `0.3.0`."""
    return version.partition("+")[0]


def refusal(
    env: Environment, project: str, selection: Selection, *, wanted: str, variant: str | None = None
) -> NoCompatibleBuildError:
    """Return the error for a selection that chose nothing: the facts, each candidate's reason, what to type.

    `wanted` is what the person asked for (`det`), so that the hint can be typed.
    """
    newest = public_version(selection.decisions[0].file.version) if selection.decisions else ""
    causes = [describe_facts(env)]
    width = max((len(each.file.label) for each in selection.rejected), default=0)
    # A build may stand in an index twice, with and without its label.
    lines = (f"  {each.file.label:<{width}}   rejected: {each.reason}" for each in selection.rejected)
    causes.extend(dict.fromkeys(lines))
    hints = []
    files = [each.file for each in selection.rejected if each.file.build is not None]
    for name, words in _OTHER_VARIANTS.items():
        if variant is None and choose(env, files, name).chosen is not None:
            hints.append(f"{words}: `mimctl install {wanted} --variant {name}`")
    hints.extend(sorted({hint for each in selection.rejected if (hint := _HINTS.get(each.rule))}))
    return NoCompatibleBuildError(
        f"no build of `{project}` {newest} fits this environment".replace("  ", " "),
        causes=causes,
        hints=hints,
        details={
            "project": project,
            "candidates": [
                {"file": each.file.filename, "rule": each.rule, "reason": each.reason} for each in selection.rejected
            ],
        },
    )


def describe_facts(env: Environment) -> str:
    """Return the facts that decide about wheels in one line."""
    accelerator, torch = env.accelerator.value, env.torch.value
    words = [f"torch {torch.version}" if torch else "no torch"]
    if accelerator.kind == "cuda":
        gpus = sorted({gpu.capability for gpu in env.gpus.value})
        words.append(f"driver {accelerator.driver}" + (f" (compute capability {', '.join(gpus)})" if gpus else ""))
    elif accelerator.kind == "none":
        words.append("no GPU driver")
    else:
        words.append(accelerator.kind)
    words.extend([f"python {env.python.value}", str(env.platform.value)])
    if env.libc.value is not None:
        words.append(str(env.libc.value))
    return ", ".join(words)


_OTHER_VARIANTS = {
    "python": "use the pure-PyTorch ops",
    "cpu": "or take compiled ones that compute on the CPU only",
}
_HINTS = {
    "fits_driver": "or update the NVIDIA driver",
    "fits_torch": "or install a torch that the builds above work with, then repeat the command",
    "not_yanked": "withdrawn builds are never installed",
}


def _is_compiled_here(env: Environment, file: IndexFile) -> bool:
    return (
        file.build is not None
        and file.build.is_compiled
        and file.yanked is None
        and any(is_for_platform(tag, env) for tag in file.tags)
    )


Problem: TypeAlias = tuple[str, str] | None
"""The name of the rule that rejects a file, and its reason."""


def _kind(file: IndexFile) -> tuple[object, ...]:
    """Return what the rules look at: files of one kind are judged alike, and an index has few kinds."""
    return (file.tags, file.build, file.requires_python, file.yanked)


def _one_of_each_kind(files: Iterable[IndexFile]) -> Iterable[IndexFile]:
    return {_kind(file): file for file in files}.values()


def _judge_all(env: Environment, files: Iterable[IndexFile], wish: Wish) -> list[Problem]:
    known: dict[tuple[object, ...], Problem] = {}
    problems = []
    for file in files:
        kind = _kind(file)
        if kind not in known:
            known[kind] = _judge(env, file, wish)
        problems.append(known[kind])
    return problems


def _judge(env: Environment, file: IndexFile, wish: Wish) -> Problem:
    for rule in RULES:
        reason = rule(env, file, wish)
        if reason is not None:
            return rule.__name__, reason
    return None


def _best(
    env: Environment, files: Sequence[IndexFile], problems: Sequence[Problem], ranks: Sequence[int]
) -> IndexFile | None:
    fitting = [place for place, problem in enumerate(problems) if problem is None]
    newest = max((ranks[place] for place in fitting), default=None)
    return max((files[at] for at in fitting if ranks[at] == newest), key=lambda file: _rank(env, file), default=None)


def _rank(env: Environment, file: IndexFile) -> tuple[object, ...]:
    """Order the builds of one version."""
    build, torch = file.build, env.torch.value
    matches_torch = 0
    if build is not None and torch is not None and build.is_compiled:
        matches_torch = int(build.cuda_major == torch.cuda_major)
    tags = supported_tags(env)
    best_tag = min(tags.index(tag) for tag in file.tags if tag in tags)
    is_compiled = build is not None and build.is_compiled
    is_labelled = "+" in file.version
    return (is_compiled, matches_torch, -best_tag, is_labelled, file.filename)


def _version_ranks(files: Iterable[IndexFile]) -> list[int]:
    """Return for each file the place of its public version among all, the lowest first.

    Finished releases come after pre-releases, and what is no version before all.
    """
    publics = [public_version(file.version) for file in files]
    keys = {version: _version_key(version) for version in set(publics)}
    place_of = {key: place for place, key in enumerate(sorted(set(keys.values())))}
    return [place_of[keys[version]] for version in publics]


def _version_key(version: str) -> tuple[int, Version]:
    from packaging.version import InvalidVersion, Version

    try:
        parsed = Version(version)
    except InvalidVersion:
        return (0, Version("0"))
    return (1 if parsed.is_prerelease else 2, parsed)
