"""Registries: a name in a config → the class or function it stands for, within a scope.

Modules are imported by the generated `types.json` tables, so that building one model imports its modules alone.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mimctl.config.scopes import FALLBACK_SCOPES, SCOPE_ALIASES
from mimctl.config.values import LazyReference
from mimctl.engine.lookup.builders import BuildFunction, build_model, build_runner_from_cfg
from mimctl.engine.lookup.places import count_definitions, dotted_name_of, place_of
from mimctl.engine.lookup.refusals import (
    cannot_import,
    registered_twice,
    unknown_name,
    without_type,
    wrong_arguments,
)
from mimctl.engine.lookup.scopes import building, current_scopes, use_scope
from mimctl.engine.lookup.toolboxes import (
    USER,
    canonical_scope,
    fresh_table,
    installed_toolboxes,
    name_of_reference,
    scope_of_module,
    type_table,
)
from mimctl.engine.reporting.log import get_logger

# Two threads that import modules which need each other would see one of them half-made.
_IMPORTING = threading.RLock()


class Registry:
    """Classes and functions of one kind by name and scope.

    `build` takes a mapping with `type` (a name, `scope.Name`, or the class itself) and keyword arguments.

    `parent` makes this one toolbox's view of a root registry: what is registered through it belongs to its scope
    (`scope`, else the top package of `locations` or of the class), and its own names come before the root's when it
    builds. `locations` are modules that register the toolbox's names; they are imported when one of them is first asked
    for. `build_func(cfg, *args, registry=…, **kwargs)` replaces `build_from_cfg`.
    """

    def __init__(
        self,
        name: str,
        build_func: BuildFunction | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
    ) -> None:
        self.kind = name
        self.parent = parent
        self.locations = tuple([locations] if isinstance(locations, str) else locations)
        self.scope = canonical_scope(scope or _top_of(self.locations)) if parent is not None else scope
        self.build_func: BuildFunction | None = build_func or (parent.build_func if parent else None)
        self.children: dict[str, Registry] = {}
        self._entries: dict[tuple[str, str], Any] = {} if parent is None else self.root._entries
        if parent is not None and self.scope:
            self.root.children[self.scope] = self

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {len(self)} loaded)"

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    @property
    def name(self) -> str:
        """Return the kind of what is registered."""
        return self.kind

    @property
    def root(self) -> Registry:
        """Return the engine's registry of this kind."""
        return self if self.parent is None else self.parent.root

    @property
    def module_dict(self) -> dict[str, Any]:
        """Return what was imported and registered so far, by name: of this toolbox, for the root of everybody."""
        is_own = self.parent is not None and self.scope
        return {name: obj for (scope, name), obj in self._entries.items() if not is_own or scope == self.scope}

    def register_module(
        self,
        name: str | Sequence[str] | None = None,
        force: bool = False,
        module: Any = None,
    ) -> Any:
        """Register a class or function, as a decorator or by `module=`; `force` replaces what has the name.

        Raises ConfigError[registered-twice] that names both places.
        """
        if not (name is None or isinstance(name, str) or _is_names(name)):
            raise TypeError(f"`name` must be a text or several, got {name!r}: write `@register_module()`")
        if module is not None:
            return self._add(module, name, force=force, by_call=True)

        def decorate(obj: Any) -> Any:
            return self._add(obj, name, force=force, by_call=False)

        return decorate

    def _add(self, obj: Any, name: str | Sequence[str] | None, *, force: bool, by_call: bool) -> Any:
        scope = self._scope_for(obj, by_call=by_call)
        for each in [name] if isinstance(name, str) else name or [obj.__name__]:
            held = self._entries.get((scope, each))
            if held is not None and held is not obj and not force and not _is_reload(held, obj):
                raise registered_twice(self.kind, each, place_of(held, number=0), place_of(obj))
            self._entries[(scope, each)] = obj
        return obj

    def _scope_for(self, obj: Any, *, by_call: bool) -> str:
        if self.parent is not None and self.scope:
            return self.scope
        module = getattr(obj, "__module__", "") or ""
        scope = scope_of_module(module)
        if scope == USER and self.parent is not None:
            return module.partition(".")[0]
        # A class of another library (`module=torch.optim.AdamW`) is registered by the engine or vision on its behalf.
        return "engine" if by_call and scope == USER else scope

    def get(self, key: str, scope: str | None = None) -> Any:
        """Return what `key` (a name or `scope.name`) stands for, or None.

        Raises ConfigError[toolbox-import] where the module that registers it cannot be imported.
        """
        if not isinstance(key, str):
            raise TypeError(f"a {self.kind} is looked up by its name, got {key!r}")
        for each_scope, name in self._places(key, scope):
            found = self._entries.get((each_scope, name))
            if found is None and self._import(each_scope, name):
                found = self._entries.get((each_scope, name))
            if found is not None:
                return found
        return None

    def build(self, cfg: Any, *args: Any, **defaults: Any) -> Any:
        """Build the object that `cfg` describes; `defaults` (or `default_args`) fill arguments that it leaves out.

        `scope=` or the key `_scope_` say where its names are looked up first. Raises ConfigError[unknown-type] with the
        nearest names, ConfigError[bad-argument] where the constructor refuses an argument. An object that is no mapping
        (already built) is returned as it is.
        """
        if self.build_func is not None:
            return self.build_func(cfg, *args, **defaults, registry=self)
        return self.build_plainly(cfg, *args, **defaults)

    def build_plainly(
        self,
        cfg: Any,
        *args: Any,
        scope: str | None = None,
        default_args: Mapping[str, Any] | None = None,
        **defaults: Any,
    ) -> Any:
        """Do what `build` does, without the registry's `build_func`."""
        if not isinstance(cfg, Mapping):
            return cfg
        arguments = {**(default_args or {}), **defaults, **dict(cfg)}
        scope = arguments.pop("_scope_", None) or scope
        kind = arguments.pop("type", None)
        if isinstance(kind, LazyReference):
            kind = name_of_reference(kind)
        if kind is None:
            raise without_type(self.kind, cfg)
        target = self._target(kind, scope)
        head = kind.partition(".")[0] if isinstance(kind, str) and "." in kind else None
        with building(head=head, explicit=scope):
            try:
                return target(*args, **arguments)
            except TypeError as err:
                wrong = wrong_arguments(target, args, arguments)
                if wrong is None:
                    raise
                raise wrong from err

    def _target(self, kind: Any, scope: str | None) -> Callable[..., Any]:
        target = self.get(kind, scope) if isinstance(kind, str) else kind
        if target is None:
            target = self._from_source(kind, scope)
        if target is None:
            raise unknown_name(self.kind, kind, self._search_order(scope), self.names())
        if not callable(target):
            raise TypeError(f"`type` of a {self.kind} must be a name, a class or a function, got {kind!r}")
        return target  # type: ignore[no-any-return]

    def names(self) -> list[str]:
        """Return all known names of this kind: loaded ones and those in the tables of the scopes in use."""
        found = {name for _, name in self._entries}
        for scope in self._search_order(None):
            found.update(type_table(scope).get(self.kind, ()))
        return sorted(found)

    @staticmethod
    def infer_scope() -> str:
        """Return the scope in use, `mimctl` without one. MMEngine looks at its caller's module; nothing does here."""
        return next(iter(current_scopes()), "mimctl")

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """Return (scope or None, name) of `scope.name`."""
        head, dot, rest = key.partition(".")
        return (head, rest) if dot else (None, key)

    @contextmanager
    def switch_scope_and_registry(self, scope: str | None) -> Iterator[Registry]:
        """Use a scope while the block runs (None: the one in use) and give the registry to look names up in."""
        with use_scope(scope):
            now = current_scopes()
            yield self.root.children.get(now[0], self) if now else self

    def import_from_location(self) -> None:
        """Import the modules that register this toolbox's names."""
        for each in self.locations:
            self._import_module(each, self.scope or USER, self.kind)

    def _places(self, key: str, scope: str | None) -> Iterator[tuple[str, str]]:
        head, name = self.split_scope_key(key)
        if head is None:
            for each in self._search_order(scope):
                yield each, name
            return
        own = canonical_scope(head)
        yield own, name
        if self._is_toolbox(own):
            for fallback in FALLBACK_SCOPES:
                yield fallback, name
        else:
            yield USER, name

    def _is_toolbox(self, scope: str) -> bool:
        is_installed = scope in FALLBACK_SCOPES or scope in installed_toolboxes()
        return is_installed or scope in self.root.children or scope in SCOPE_ALIASES.values()

    def _search_order(self, scope: str | None) -> list[str]:
        explicit = [canonical_scope(scope)] if scope else []
        own = [self.scope] if self.parent is not None and self.scope else []
        return list(dict.fromkeys([USER, *explicit, *current_scopes(), *own, *FALLBACK_SCOPES]))

    def _import(self, scope: str, name: str) -> bool:
        """Import what would register the name; return whether anything was imported."""
        entry = type_table(scope).get(self.kind, {}).get(name)
        if entry is not None:
            self._import_module(entry["module"], scope, f"{self.kind} `{name}`")
            return True
        child = self.root.children.get(scope)
        if child is not None:
            child.import_from_location()
        return child is not None

    def _from_source(self, key: str, scope: str | None) -> Any:
        """Return what a toolbox whose table is behind its source registers under the name, or None."""
        for each_scope, name in self._places(key, scope):
            if each_scope not in installed_toolboxes():
                continue
            entry = fresh_table(each_scope).get(self.kind, {}).get(name)
            if entry is not None:
                get_logger().warning("types.json of `%s` is behind its source, which has %s", each_scope, name)
                self._import_module(entry["module"], each_scope, f"{self.kind} `{name}`")
                return self._entries.get((each_scope, name))
        return None

    def _import_module(self, module: str, scope: str, wanted: str) -> None:
        with _IMPORTING:
            try:
                importlib.import_module(module)
            except ImportError as err:
                raise cannot_import(wanted, module, scope, err) from err


def _top_of(locations: Sequence[str]) -> str:
    return locations[0].partition(".")[0] if locations else ""


def _is_names(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(each, str) for each in value)


def _is_reload(held: Any, obj: Any) -> bool:
    """Say whether `obj` is `held` from a module that was executed again, not a second definition beside it."""
    return dotted_name_of(held) == dotted_name_of(obj) and count_definitions(obj) < 2


RUNNERS = Registry("runner", build_func=build_runner_from_cfg)
RUNNER_CONSTRUCTORS = Registry("runner_constructor")
LOOPS = Registry("loop")
HOOKS = Registry("hook")
STRATEGIES = Registry("strategy")
DATASETS = Registry("dataset")
DATA_SAMPLERS = Registry("data_sampler")
TRANSFORMS = Registry("transform")
FUNCTIONS = Registry("function")
MODELS = Registry("model", build_func=build_model)
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

EVALUATOR = EVALUATORS
COLLATE_FUNCTIONS = FUNCTIONS
