"""Hooks that would act twice."""

from __future__ import annotations

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.schema import DEFAULT_HOOKS, SINGLE_HOOKS


def find_repeated_hooks(case: Case) -> Mistakes:
    """Yield hooks of which a run needs one and has two, and custom hooks that stand there twice alike."""
    held: dict[str, str] = {}
    hooks = case.config.get("default_hooks")
    if hooks is None or hooks:
        held = {hook: f"default_hooks.{name}" for name, hook in DEFAULT_HOOKS.items() if not _is_off(hooks, name)}
    seen: list[Part] = []
    for part in case.parts:
        if part.name is None or not part.path.startswith(("default_hooks.", "custom_hooks.")):
            continue
        if part.path.count(".") > 1 or part.type is None or part.type.kind != "hook":
            continue
        first = held.get(part.name) if part.name in SINGLE_HOOKS else None
        first = first or next((each.path for each in seen if each.value == part.value), None)
        if first is not None and first != part.path:
            yield _twice(case, part, first)
        held.setdefault(part.name, part.path)
        seen.append(part)


def _is_off(hooks: object, name: str) -> bool:
    """Say whether a default hook is left out or replaced by another type."""
    if not isinstance(hooks, dict) or name not in hooks:
        return False
    held = hooks[name]
    return held is None or (isinstance(held, dict) and "type" in held)


def _twice(case: Case, part: Part, first: str) -> Mistake:
    where = case.config.origin(first)
    return Mistake(
        path=f"{part.path}.type" if "type" in part.value else part.path,
        message=f"`{part.name}` is there twice: at `{first}` and at `{part.path}`",
        code="repeated-hook",
        causes=(f"the first is {f'at {where}' if where else 'one of the default hooks'}",),
        hints=(f"set its arguments in `{first}`, and leave this one out",),
    )
