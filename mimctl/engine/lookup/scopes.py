"""The scopes in which names without one are looked up: a matter of the running context, of no global variable.

A scope is a toolbox's short name (`det`); `vision` and `engine` are the scopes that every toolbox falls back to, and
`user` is that of classes which no toolbox owns. A new thread starts without a scope: `carry_scope` hands it on.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from mimctl.config.scopes import FALLBACK_SCOPES
from mimctl.engine.lookup.toolboxes import USER, canonical_scope

P = ParamSpec("P")
R = TypeVar("R")

_SCOPES: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("mimctl_registry_scopes", default=())


def current_scopes() -> tuple[str, ...]:
    """Return the toolbox scopes that are searched here, the first one first."""
    return _SCOPES.get()


@contextlib.contextmanager
def use_scope(scope: str | None) -> Iterator[None]:
    """Look unscoped names up in `scope` while the block runs (this thread or task only); None changes nothing."""
    with _searching(_SCOPES.get() if scope is None else (canonical_scope(scope),)):
        yield


@contextlib.contextmanager
def building(*, head: str | None, explicit: str | None) -> Iterator[None]:
    """Look the parts of an object up while it is built.

    `explicit` (`_scope_`, `scope=`) is searched first. `head`, the scope before the dot of the object's own type, comes
    after the scopes in use: in OpenMMLab's configs a part without a scope belongs to the default scope.
    """
    scopes = _SCOPES.get()
    if explicit is not None:
        scopes = (canonical_scope(explicit), *scopes)
    if head is not None and head != USER:
        scopes = (*scopes, canonical_scope(head))
    with _searching(scopes):
        yield


def init_default_scope(scope: str | None) -> None:
    """Look unscoped names up in `scope` from here on: for scripts. Other threads are not touched; None ends it."""
    _SCOPES.set((canonical_scope(scope),) if scope else ())


def carry_scope(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` so that it runs with this moment's scopes, whichever thread or process calls it."""
    return functools.partial(_call_in, _SCOPES.get(), function)


class StartInScope:
    """Calls a function when a process begins, which then keeps the scopes that were in use where this was made."""

    def __init__(self, function: Callable[[int], None]) -> None:
        self.scopes = _SCOPES.get()
        self.function = function

    def __call__(self, worker_id: int) -> None:
        _SCOPES.set(self.scopes)
        self.function(worker_id)


class DefaultScope:
    """The scope in use, in MMEngine's words. There is no instance to keep: all of it follows the running context."""

    def __init__(self, name: str = "", scope_name: str | None = None) -> None:
        self.instance_name = name
        self._scope_name = scope_name

    @property
    def scope_name(self) -> str | None:
        """Return the toolbox's short name, or None."""
        return self._scope_name

    @classmethod
    def get_instance(cls, name: str, scope_name: str | None = None) -> DefaultScope:
        """Make `scope_name` the scope in use (`init_default_scope`) and return it; None returns the current one."""
        if scope_name is not None:
            init_default_scope(scope_name)
        return cls(name, next(iter(_SCOPES.get()), None))

    @classmethod
    def get_current_instance(cls) -> DefaultScope | None:
        """Return the scope in use, None where there is none."""
        return cls("current", _SCOPES.get()[0]) if _SCOPES.get() else None

    @classmethod
    @contextlib.contextmanager
    def overwrite_default_scope(cls, scope_name: str | None) -> Iterator[None]:
        """Do what `use_scope` does."""
        with use_scope(scope_name):
            yield


def _call_in(scopes: tuple[str, ...], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    with _searching(scopes):
        return function(*args, **kwargs)


@contextlib.contextmanager
def _searching(scopes: tuple[str, ...]) -> Iterator[None]:
    token = _SCOPES.set(tuple(dict.fromkeys(each for each in scopes if each not in FALLBACK_SCOPES)))
    try:
        yield
    finally:
        _SCOPES.reset(token)
