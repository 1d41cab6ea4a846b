"""Choose one wheel among candidates and keep the decision on every one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias, overload

from mimctl.environment.model import Environment
from mimctl.index.bulk import bulk
from mimctl.index.model import IndexFile
from mimctl.selection.order import build_rank, group_by_version, public_version
from mimctl.selection.rules import RULES, Wish, is_compiled_here
from mimctl.selection.warnings import newer_than_verified, why_warn

__all__ = [
    "Accepted",
    "Decision",
    "Rejected",
    "Selection",
    "choose",
    "has_compiled_here",
    "newer_than_verified",
    "public_version",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A candidate that fits; `is_chosen` marks the best of them, `warning` says what it is taken with."""

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
    decisions: Sequence[Decision]
    """Of `choose` they are made as they are read: few look at all that a large index holds."""

    @property
    def warning(self) -> str | None:
        """Return what the chosen candidate is taken with."""
        return next((each.warning for each in self.decisions if isinstance(each, Accepted) and each.is_chosen), None)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Return the candidates that do not fit."""
        return tuple(each for each in self.decisions if isinstance(each, Rejected))


def choose(
    env: Environment,
    candidates: Iterable[IndexFile],
    variant: str | None = None,
    *,
    verified: str | None = None,
    takes_yanked: bool = False,
    has_compiled: bool | None = None,
) -> Selection:
    """Return the best of `candidates` for `env`: the greatest version, compiled before pure Python.

    The pure-PyTorch build is taken by itself only where no candidate is compiled for this platform; `variant` asks
    for a build by its backend's name (`cpu`, `cu13`, `python`). Nothing is raised where none fits (see `refusal`).
    A local label tells builds of one version apart and says nothing of what is newer. `verified` is the newest torch
    that builds were verified with: with a newer one they are accepted with a warning. `takes_yanked`: somebody named
    exactly this version (PEP 592). Whoever gives some of a project's files says with `has_compiled` whether any of all
    is compiled for this platform (`has_compiled_here`).
    """
    files = tuple(candidates)
    if has_compiled is None:
        has_compiled = has_compiled_here(env, files)
    judge = _Judge(env, Wish(variant=variant, has_compiled=has_compiled, takes_yanked=takes_yanked))
    groups = group_by_version(files)
    fitting = (judge.fitting(group) for group in groups)
    newest = next((files for files in fitting if files), [])
    chosen = max(newest, key=lambda file: build_rank(env, file), default=None)
    return Selection(chosen=chosen, decisions=_Trace(judge, groups, chosen, verified))


def has_compiled_here(env: Environment, files: Iterable[IndexFile]) -> bool:
    """Return whether any file is a compiled build for the platform of `env`, fitting or not."""
    seen: set[tuple[object, ...]] = set()
    for file in files:
        if file.build is None:
            continue
        kind = (file.tags, file.build.backend, file.yanked)
        if kind not in seen:
            if is_compiled_here(env, file):
                return True
            seen.add(kind)
    return False


Problem: TypeAlias = tuple[str, str] | None
"""The name of the rule that rejects a file, and its reason."""


class _Judge:
    """Judges the files of one request; those that the rules cannot tell apart are judged once."""

    def __init__(self, env: Environment, wish: Wish) -> None:
        self.env, self.wish = env, wish
        self._known: dict[tuple[object, ...], Problem] = {}

    def problem(self, file: IndexFile) -> Problem:
        """Return why a file does not fit, None where it does."""
        kind = _kind(file)
        try:
            return self._known[kind]
        except KeyError:
            problem = self._known[kind] = self._judge(file)
            return problem

    def fitting(self, files: Iterable[IndexFile]) -> list[IndexFile]:
        """Return those of the files that fit."""
        return [file for file in files if self.problem(file) is None]

    def _judge(self, file: IndexFile) -> Problem:
        for rule in RULES:
            reason = rule(self.env, file, self.wish)
            if reason is not None:
                return rule.__name__, reason
        return None


def _kind(file: IndexFile) -> tuple[object, ...]:
    """Return what the rules look at; one flat tuple, as comparing two builds costs more than a rule."""
    build = file.build
    if build is None:
        return (file.tags, file.requires_python, file.yanked, file.project, file.version.partition("+")[2])
    return (
        file.tags,
        file.requires_python,
        file.yanked,
        build.backend,
        build.min_torch,
        build.max_torch,
        build.min_driver,
        build.toolkit,
        build.archs,
        build.ptx,
    )


_AT_ONCE = 64


class _Trace(Sequence[Decision]):
    """The decisions on all candidates, made as they are read."""

    def __init__(
        self, judge: _Judge, groups: Sequence[Sequence[IndexFile]], chosen: IndexFile | None, verified: str | None
    ) -> None:
        self._made: list[Decision] = []
        self._rest = _decide(judge, groups, chosen, verified)
        self._length = sum(len(group) for group in groups)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Decision]:
        for place in range(self._length):
            if place == len(self._made):
                self._make(max(place, _AT_ONCE))
            yield self._made[place]

    @overload
    def __getitem__(self, place: int) -> Decision: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Decision]: ...

    def __getitem__(self, place: int | slice) -> Decision | Sequence[Decision]:
        self._make(self._length)
        return self._made[place]

    def _make(self, count: int) -> None:
        with bulk():
            self._made.extend(islice(self._rest, count))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def _decide(
    judge: _Judge, groups: Iterable[Sequence[IndexFile]], chosen: IndexFile | None, verified: str | None
) -> Iterator[Decision]:
    warnings: dict[tuple[object, ...], str | None] = {}
    for group in groups:
        for file in sorted(group, key=_name, reverse=True):
            problem = judge.problem(file)
            if problem is not None:
                yield Rejected(file=file, rule=problem[0], reason=problem[1])
                continue
            kind = _kind(file)
            if kind not in warnings:
                warnings[kind] = why_warn(judge.env, file, verified=verified)
            yield Accepted(file=file, is_chosen=file is chosen, warning=warnings[kind])


def _name(file: IndexFile) -> str:
    return file.filename
