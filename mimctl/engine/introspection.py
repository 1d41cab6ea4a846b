"""Looking at code and versions: methods, imports by name, nested data, versions as numbers, in MMEngine's names."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import torch

TORCH_VERSION = str(torch.__version__)
_STAGES = {"a": -3, "alpha": -3, "b": -2, "beta": -2, "rc": -1, "c": -1}
_RELEASE = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)(?:[._-]?(a|alpha|b|beta|c|rc|post|dev)[._-]?(\d*))?", re.IGNORECASE)


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """Return a version as numbers that compare: `length` of the release, then the stage and its number.

    The stage is below 0 for what comes before a release (development, alpha, beta, candidate), 0 for releases and 1 for
    what comes after them; local labels do not count. ValueError for anything else.
    """
    found = _RELEASE.match(re.split(r"\+|parrots", version_str)[0].strip())
    if not found:
        raise ValueError(f"{version_str!r} is no version")
    release = [int(each) for each in found[1].split(".")][:length]
    release += [0] * (length - len(release))
    stage, number = (found[2] or "").lower(), int(found[3] or 0)
    if stage == "post":
        return (*release, 1, number)
    if stage == "dev":
        return (*release, -4, 0)
    return (*release, _STAGES.get(stage, 0), number)


def is_installed(package: str) -> bool:
    """Say whether a distribution or an import package of that name is installed."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        try:
            return importlib.util.find_spec(package) is not None
        except (ImportError, ValueError):
            return False
    return True


def has_method(obj: object, method: str) -> bool:
    """Say whether an object has a method of that name."""
    return callable(getattr(obj, method, None))


def is_method_overridden(method: str, base_class: type, derived_class: type | Any) -> bool:
    """Say whether a derived class (or an object of one) has a method of its own where the base class has one."""
    if not isinstance(base_class, type):
        raise TypeError(f"`base_class` must be a class, got {base_class!r}")
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(derived, method) is not getattr(base_class, method)


def import_modules_from_strings(
    imports: str | list[str], allow_failed_imports: bool = False
) -> ModuleType | list[ModuleType | None] | None:
    """Import a module or several and return them; with `allow_failed_imports` a failure is a warning and None."""
    if not imports:
        return None
    if not isinstance(imports, str | list) or not all(isinstance(each, str) for each in imports):
        raise TypeError(f"modules are named by texts, got {imports!r}")
    modules = [
        _import(each, may_fail=allow_failed_imports) for each in ([imports] if isinstance(imports, str) else imports)
    ]
    return modules[0] if isinstance(imports, str) else modules


def get_object_from_string(obj_name: str) -> Any:
    """Return what a dotted name stands for (`torch.optim.SGD`), None where nothing has it."""
    parts = obj_name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found
    return None


def apply_to(data: Any, expr: Callable[[Any], bool], apply_func: Callable[[Any], Any]) -> Any:
    """Return nested data (dicts, lists, tuples) in which every value that `expr` holds for is replaced."""
    if isinstance(data, Mapping):
        return type(data)({key: apply_to(value, expr, apply_func) for key, value in data.items()})  # type: ignore[call-arg]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(apply_to(each, expr, apply_func) for each in data))
    if isinstance(data, list | tuple):
        return type(data)(apply_to(each, expr, apply_func) for each in data)
    return apply_func(data) if expr(data) else data


def merge_dict(*args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items of all dicts; ValueError where two have a key."""
    merged: dict[str, Any] = {}
    for each in args:
        twice = merged.keys() & each.keys()
        if twice:
            raise ValueError(f"two of the dicts have {', '.join(sorted(map(str, twice)))}")
        merged.update(each)
    return merged


def deprecated_api_warning(
    name_dict: Mapping[str, str], cls_name: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function whose arguments were renamed: old names (the keys) still work, with a warning."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = f"{cls_name}.{function.__name__}" if cls_name else function.__name__

        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            for old, new in name_dict.items():
                if old in kwargs:
                    if new in kwargs:
                        raise TypeError(f"`{name}` takes `{new}` or its old name `{old}`, not both")
                    warnings.warn(f"`{old}` of `{name}` is called `{new}` now", DeprecationWarning, stacklevel=2)
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renamed

    return decorate


def requires_package(prerequisites: str | Iterable[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function that needs packages: called without them it raises RuntimeError that names them."""
    wanted = [prerequisites] if isinstance(prerequisites, str) else list(prerequisites)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            missing = [each for each in wanted if not is_installed(each)]
            if missing:
                raise RuntimeError(f"`{function.__name__}` needs {', '.join(missing)}: install it first")
            return function(*args, **kwargs)

        return checked

    return decorate


def _import(name: str, *, may_fail: bool) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError as err:
        if not may_fail:
            raise
        warnings.warn(f"{name} cannot be imported: {err}", UserWarning, stacklevel=3)
        return None
