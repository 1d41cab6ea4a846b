"""What a registry says where it cannot do what is asked."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mimctl.config.published import publishers_of
from mimctl.config.scopes import SCOPE_ALIASES
from mimctl.engine.lookup.places import dotted_name_of
from mimctl.engine.lookup.toolboxes import canonical_scope, installed_toolboxes, type_table
from mimctl.errors import ConfigError, did_you_mean, nearest


def unknown_name(kind: str, key: str, order: Sequence[str], names: Sequence[str]) -> ConfigError:
    """Say that no scope has the name, which names are near, and which toolbox has it or would have it."""
    head, _, bare = key.rpartition(".")
    scope = canonical_scope(head) if head else None
    if scope is not None:
        names = sorted({*names, *type_table(scope).get(kind, {})})
    near = nearest(bare, [each for each in names if each != bare])
    hints = did_you_mean(near)
    having = [each for each in installed_toolboxes() if each != scope and bare in type_table(each).get(kind, {})]
    hints += [f"toolbox `{each}` has it: write `{each}.{bare}`" for each in having]
    causes = [f"searched the scopes {', '.join(order)}" if scope is None else f"searched the scope {scope}"]
    for each in [scope] if scope is not None else order:
        if bare in type_table(each).get(kind, {}):
            causes.append(
                f"{each}'s types.json names it, but {type_table(each)[kind][bare]['module']} does not have it"
            )
            hints.append(f"write the table anew: `python -m mimctl.config.types` with the folder of `{each}`")
        elif each in SCOPE_ALIASES.values() and not type_table(each):
            causes.append(f"the toolbox `{each}` is not installed here")
            hints.append(f"install it: `mimctl install {each}`")
    for each in publishers_of(bare, kind):
        if each not in having and each != scope:
            told = "is installed without it" if each in installed_toolboxes() else "is not installed here"
            causes.append(f"OpenMMLab has a {kind} of this name in the toolbox that is `{each}` here, which {told}")
    return ConfigError(f"unknown {kind} `{key}`", code="unknown-type", causes=causes, hints=hints)


def registered_twice(kind: str, name: str, first: str, second: str) -> ConfigError:
    """Say that a name has two meanings, and where each was written."""
    return ConfigError(
        f"`{name}` is registered twice as {kind}",
        code="registered-twice",
        causes=[f"first at {first}", f"again at {second}"],
        hints=["give one of them another name, or replace the first on purpose: `register_module(force=True)`"],
    )


def cannot_import(wanted: str, module: str, scope: str, err: ImportError) -> ConfigError:
    """Say that the module which registers a name cannot be imported: the import error itself, and how it came to it."""
    chain = _imports(err.__traceback__)
    missing = err.name if isinstance(err, ModuleNotFoundError) and err.name else None
    hints = []
    if missing and missing.partition(".")[0] != module.partition(".")[0]:
        hints.append(f"install what has it into this environment: `{missing.partition('.')[0]}`")
    return ConfigError(
        f"{type(err).__name__}: {err}",
        code="toolbox-import",
        causes=[f"{wanted} of `{scope}` is in {module}, whose import failed", *chain],
        hints=hints,
        details={
            "module": module,
            "name": err.name,
            "traceback": "".join(traceback.format_exception(err)),
        },
    )


def without_type(kind: str, cfg: Mapping[str, Any]) -> ConfigError:
    """Say that a dict does not name what it stands for."""
    return ConfigError(f"a {kind} needs `type`", code="missing-type", causes=[f"got {dict(cfg)!r:.200}"])


def wrong_arguments(target: Any, args: tuple[Any, ...], arguments: Mapping[str, Any]) -> ConfigError | None:
    """Say which argument `target` refuses; None where the arguments fit and the error came from inside."""
    try:
        signature = inspect.signature(target)
        signature.bind(*args, **arguments)
    except TypeError as err:
        known = list(signature.parameters)
        unknown = [name for name in arguments if name not in known]
        near = nearest(unknown[0], known) if unknown else []
        hints = [f"did you mean `{near[0]}`?"] if near else [f"it takes {', '.join(f'`{name}`' for name in known)}"]
        return ConfigError(f"`{dotted_name_of(target)}`: {err}", code="bad-argument", hints=hints)
    except ValueError:  # a class without a signature
        return None
    return None


def _imports(trace: TracebackType | None) -> list[str]:
    """Return `file:line: statement` of each import that led to the failure, the outermost first."""
    frames = traceback.extract_tb(trace)
    ours = str(Path(__file__).parent.with_name("registry.py"))
    is_machinery = (ours, str(Path(importlib.__file__)))
    shown = [each for each in frames if each.filename not in is_machinery and not each.filename.startswith("<frozen")]
    return [f"{each.filename}:{each.lineno}: {each.line}" for each in shown]
