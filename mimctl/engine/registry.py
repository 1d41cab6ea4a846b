"""Registries: a name in a config → the class or function it stands for, within a scope.

A scope is a toolbox's short name (`det`); `vision` and `engine` are the scopes that every toolbox falls back to.
Modules are imported by the generated `types.json` tables, so that building one model imports its modules alone.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mimctl.config.scopes import FALLBACK_SCOPES, canonical_scope
from mimctl.config.values import LazyReference
from mimctl.errors import ConfigError, nearest

_SCOPE: contextvars.ContextVar[str | None] = contextvars.ContextVar("mimctl_registry_scope", default=None)


@contextlib.contextmanager
def use_scope(scope: str | None) -> Iterator[None]:
    """Resolve unscoped names in `scope` first while the block runs (this thread or task only)."""
    token = _SCOPE.set(canonical_scope(scope) if scope else _SCOPE.get())
    try:
        yield
    finally:
        _SCOPE.reset(token)


def package_of_scope(scope: str) -> str:
    """Return the import package that owns a scope."""
    return f"mimctl.{scope}" if scope in FALLBACK_SCOPES else f"mimctl_{scope}"


def scope_of_module(module: str) -> str:
    """Return the scope that a module's registrations belong to; user modules have the scope `user`."""
    parts = module.split(".")
    if parts[0] == "mimctl" and len(parts) > 1:
        return parts[1]
    if parts[0].startswith("mimctl_"):
        return parts[0].removeprefix("mimctl_")
    return "user"


def name_of_reference(reference: LazyReference) -> str:
    """Return the registered name that a class imported by a pure-Python config stands for.

    Nothing is imported here: what no registry knows is refused, whatever module it names.
    """
    top = reference.module.partition(".")[0]
    scope = canonical_scope(top)
    if scope == top:
        own = scope_of_module(reference.module)
        # torch's classes are registered by the engine; a module of nobody's is user code.
        scope = "engine" if top == "torch" else own
    return f"{scope}.{reference.name or reference.module.rpartition('.')[2]}"


@cache
def type_table(scope: str) -> Mapping[str, Mapping[str, Any]]:
    """Return `kinds` of the scope's generated types.json ({} where the toolbox is not installed)."""
    package = package_of_scope(scope)
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "types.json"
        if path.is_file():
            kinds: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["kinds"]
            return kinds
    return {}


class Registry:
    """Classes and functions of one kind by name and scope.

    `build` takes a mapping with `type` (a name, `scope.Name`, or the class itself) and keyword arguments.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {len(self._entries)} loaded)"

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def register_module(
        self,
        name: str | list[str] | None = None,
        *,
        module: Any = None,
        force: bool = False,
    ) -> Any:
        """Register a class or function, as a decorator or by `module=`; a duplicate names both places."""
        if module is not None:
            return self._add(module, name, force=force, scope=_calling_scope(module))

        def decorate(obj: Any) -> Any:
            return self._add(obj, name, force=force, scope=scope_of_module(obj.__module__))

        return decorate

    def _add(self, obj: Any, name: str | list[str] | None, *, force: bool, scope: str) -> Any:
        names = [name] if isinstance(name, str) else name or [obj.__name__]
        for each in names:
            held = self._entries.get((scope, each))
            if held is not None and held is not obj and not force and not _is_reload(held, obj):
                raise KeyError(f"{each!r} is registered twice as {self.kind}: {_place(held)} and {_place(obj)}")
            self._entries[(scope, each)] = obj
        return obj

    def get(self, name: str, scope: str | None = None) -> Any:
        """Return what `name` (or `scope.name`) stands for, or None."""
        for each_scope, each in self._places(name, scope):
            found = self._entries.get((each_scope, each))
            if found is None and self._import(each_scope, each):
                found = self._entries.get((each_scope, each))
            if found is not None:
                return found
        return None

    def build(self, cfg: Any, *args: Any, scope: str | None = None, **defaults: Any) -> Any:
        """Build the object that `cfg` describes; `defaults` fill arguments that it leaves out.

        Raises ConfigError[unknown-type] with the nearest names, ConfigError[bad-argument] where the constructor
        refuses an argument. An object that is no mapping (already built) is returned as it is.
        """
        if not isinstance(cfg, Mapping):
            return cfg
        arguments = {**defaults, **dict(cfg)}
        scope = arguments.pop("_scope_", None) or scope
        kind = arguments.pop("type", None)
        if isinstance(kind, LazyReference):
            kind = name_of_reference(kind)
        if kind is None:
            raise ConfigError(f"a {self.kind} needs `type`", code="missing-type", causes=[f"got {dict(cfg)!r:.200}"])
        target = self.get(kind, scope) if isinstance(kind, str) else kind
        if target is None:
            raise self._unknown(kind, scope)
        inner = kind.split(".", 1)[0] if isinstance(kind, str) and "." in kind else scope
        with use_scope(None if inner == "user" else inner):
            try:
                return target(*args, **arguments)
            except TypeError as err:
                wrong = _wrong_arguments(target, args, arguments)
                if wrong is None:
                    raise
                raise wrong from err

    def names(self) -> list[str]:
        """Return all known names of this kind: loaded ones and those in the tables of the scopes in use."""
        found = {name for _, name in self._entries}
        for scope in self._search_order(None):
            found.update(type_table(scope).get(self.kind, ()))
        return sorted(found)

    def _places(self, name: str, scope: str | None) -> Iterator[tuple[str, str]]:
        head, dot, rest = name.partition(".")
        if dot:
            own = canonical_scope(head)
            yield own, rest
            for fallback in FALLBACK_SCOPES:
                yield fallback, rest
        else:
            for each in self._search_order(scope):
                yield each, name

    def _search_order(self, scope: str | None) -> list[str]:
        current = canonical_scope(scope) if scope else _SCOPE.get()
        order = ["user", *([current] if current else []), *FALLBACK_SCOPES]
        return list(dict.fromkeys(order))

    def _import(self, scope: str, name: str) -> bool:
        entry = type_table(scope).get(self.kind, {}).get(name)
        if entry is None or (entry["module"] in sys.modules and (scope, name) in self._entries):
            return False
        importlib.import_module(entry["module"])
        return True

    def _unknown(self, name: str, scope: str | None) -> ConfigError:
        bare = name.rpartition(".")[2]
        near = nearest(bare, self.names())
        hints = [f"did you mean {' or '.join(f'`{each}`' for each in near)}?"] if near else []
        hints += [f"toolbox `{each}` has it: write `{each}.{bare}`" for each in self._scopes_that_have(bare)]
        return ConfigError(
            f"unknown {self.kind} `{name}`",
            code="unknown-type",
            causes=[f"searched the scopes {', '.join(self._search_order(scope))}"],
            hints=hints,
        )

    def _scopes_that_have(self, name: str) -> list[str]:
        from importlib.metadata import entry_points

        scopes = {entry.name for entry in entry_points(group="mimctl.plugins")}
        return sorted(scope for scope in scopes if name in type_table(scope).get(self.kind, {}))


def _wrong_arguments(target: Any, args: tuple[Any, ...], arguments: Mapping[str, Any]) -> ConfigError | None:
    """Say which argument `target` refuses; None where the arguments fit and the error came from inside."""
    try:
        signature = inspect.signature(target)
        signature.bind(*args, **arguments)
    except TypeError as err:
        known = list(signature.parameters)
        unknown = [name for name in arguments if name not in known]
        near = nearest(unknown[0], known) if unknown else []
        hints = [f"did you mean `{near[0]}`?"] if near else [f"it takes {', '.join(f'`{name}`' for name in known)}"]
        return ConfigError(f"`{_place(target)}`: {err}", code="bad-argument", hints=hints)
    except ValueError:  # a class without a signature
        return None
    return None


def _calling_scope(obj: Any) -> str:
    # A class of another library (`module=torch.optim.AdamW`) is registered by the engine or vision on its behalf.
    scope = scope_of_module(getattr(obj, "__module__", "") or "")
    return scope if scope != "user" else "engine"


def _is_reload(held: Any, obj: Any) -> bool:
    return _place(held) == _place(obj)


def _place(obj: Any) -> str:
    return f"{getattr(obj, '__module__', '?')}.{getattr(obj, '__qualname__', obj)}"


RUNNERS = Registry("runner")
LOOPS = Registry("loop")
HOOKS = Registry("hook")
STRATEGIES = Registry("strategy")
DATASETS = Registry("dataset")
DATA_SAMPLERS = Registry("data_sampler")
TRANSFORMS = Registry("transform")
FUNCTIONS = Registry("function")
MODELS = Registry("model")
MODEL_WRAPPERS = Registry("model_wrapper")
WEIGHT_INITIALIZERS = Registry("weight_initializer")
OPTIMIZERS = Registry("optimizer")
OPTIM_WRAPPERS = Registry("optim_wrapper")
OPTIM_WRAPPER_CONSTRUCTORS = Registry("optim_wrapper_constructor")
PARAM_SCHEDULERS = Registry("param_scheduler")
METRICS = Registry("metric")
EVALUATORS = Registry("evaluator")
TASK_UTILS = Registry("task_util")
VISUALIZERS = Registry("visualizer")
VISBACKENDS = Registry("vis_backend")
LOG_PROCESSORS = Registry("log_processor")
INFERENCERS = Registry("inferencer")
