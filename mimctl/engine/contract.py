"""What a toolbox promises, tried in its own interpreter: verbs import, types are what their table says, models build.

Models are built on torch's meta device, which holds no values: a large one costs milliseconds and no memory.
"""

from __future__ import annotations

import importlib
import inspect
import json
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.engine import registry as registries
from mimctl.engine.registry import Registry
from mimctl.errors import MimctlError
from mimctl.spec import RunSpec

Finding = dict[str, Any]


def check(spec: RunSpec) -> dict[str, Any]:
    """Return `findings`: each mistake with its place, and one line for each part that has none.

    Options: `verbs` (verb → entry), `table` (the toolbox's types.json), `configs` (file whose model is built → shape of
    what its `forward` gets, [] for nothing), `root` (folder of the package).
    """
    options = spec.options
    root = Path(options["root"])
    findings = [
        *_verbs(options["verbs"], root),
        *_types({**options["table"], "scope": spec.plugin}, root),
        *_models({path: tuple(shape) for path, shape in options["configs"].items()}, root),
    ]
    return {"findings": findings}


def _verbs(verbs: Mapping[str, str], root: Path) -> Iterator[Finding]:
    bad = 0
    for verb, entry in verbs.items():
        module, _, name = entry.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as err:  # whatever its modules raise is what is to be told
            bad += 1
            yield _failed(f"verb `{verb}` cannot be imported", err, root)
            continue
        if not callable(found):
            bad += 1
            yield {"status": "fail", "message": f"verb `{verb}`: `{entry}` is a {type(found).__name__}, no function"}
    if verbs and not bad:
        yield {"status": "ok", "message": f"verbs that import: {len(verbs)}"}


def _types(table: Mapping[str, Any], root: Path) -> Iterator[Finding]:
    """Import every module of the table; compare names and arguments with what is registered then."""
    by_kind = {each.kind: each for each in vars(registries).values() if isinstance(each, Registry)}
    count = bad = 0
    broken: set[str] = set()
    for kind, names in table["kinds"].items():
        for name, entry in names.items():
            count += 1
            if entry["module"] in broken:
                continue
            try:
                importlib.import_module(entry["module"])
                found = by_kind[kind].get(f"{table['scope']}.{name}")
            except Exception as err:  # as above
                broken.add(entry["module"])
                bad += 1
                yield _failed(f"`{entry['module']}` cannot be imported", err, root)
                continue
            told = _judge(kind, name, found, entry)
            if told is not None:
                bad += 1
                yield {"status": "fail", "message": told, **_place_of(found)}
    for kind, name, found in _unlisted(by_kind, table):
        bad += 1
        message = f"{kind} `{name}` is registered when its module is imported, and types.json does not know it"
        yield {"status": "fail", "message": message, **_place_of(found), "hints": ["register it by its plain name"]}
    if not bad:
        yield {"status": "ok", "message": f"types that import and take what types.json says: {count}"}


def _judge(kind: str, name: str, found: Any, entry: Mapping[str, Any]) -> str | None:
    """Return how a registered object differs from its entry in the table, None where it does not."""
    if found is None:
        return f"{kind} `{name}` is in types.json, but importing `{entry['module']}` registers no such name"
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return None  # written in C: nothing is known of it
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    named = {each.name for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    extra = [each for each in entry["params"] if each not in named]
    if extra and not takes_any:
        return f"{kind} `{name}` takes no argument `{extra[0]}`, though types.json says so"
    lacking = [
        each.name
        for each in parameters
        if each.name in named and each.kind is not each.POSITIONAL_ONLY and each.name not in entry["params"]
    ]
    if lacking and not entry["extra"]:
        return f"{kind} `{name}` takes `{lacking[0]}`, and types.json does not say so"
    return None


def _unlisted(by_kind: Mapping[str, Registry], table: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for kind, registry in by_kind.items():
        listed = table["kinds"].get(kind, {})
        for name, found in registry.module_dict.items():
            module = getattr(found, "__module__", "") or ""
            if name not in listed and module.partition(".")[0] == table["package"].partition(".")[0] != "mimctl":
                yield kind, name, found


def _models(configs: Mapping[str, tuple[int, ...]], root: Path) -> Iterator[Finding]:
    """Build the model of each config, and give it a tensor where the toolbox says of what shape."""
    import torch

    from mimctl.config import Config
    from mimctl.engine.lookup.bases import find_base

    built: dict[str, bool] = {}
    for path, shape in configs.items():
        config = Config.fromfile(path, search=find_base)
        if config.get("model") is None:
            continue
        key = json.dumps([config.get("default_scope"), config.model.to_dict()], default=str, sort_keys=True)
        if key in built:
            continue
        built[key] = True
        try:
            _try_model(config, shape, torch)
        except MimctlError as err:
            built[key] = False
            hints = list(err.hints)
            message = f"the model of `{Path(path).name}` cannot be built: {_joined(err)}"
            yield {"status": "fail", "message": message, "file": path, "hints": hints}
        except Exception as err:  # as above
            built[key] = False
            yield {"file": path, **_failed(f"the model of `{Path(path).name}` cannot be built or run", err, root)}
    if built and all(built.values()):
        shapes = " or ".join(dict.fromkeys("x".join(map(str, shape)) for shape in configs.values() if shape))
        tried = f" and answer a tensor of {shapes}" if shapes else ""
        yield {"status": "ok", "message": f"models that build{tried}: {len(built)}, of {len(configs)} configs"}


def _try_model(config: Any, shape: tuple[int, ...], torch: Any) -> None:
    from mimctl.engine.lookup.scopes import use_scope
    from mimctl.engine.registry import MODELS

    for device in ("meta", "cpu"):
        try:
            with use_scope(config.get("default_scope")), torch.device(device):
                model = MODELS.build(config.model.to_dict())
                _require_modes(model)
                if shape:
                    _forward(model, torch.zeros(shape), torch)
            return
        except (NotImplementedError, RuntimeError) as err:
            # What needs values (`.item()`) cannot be done on meta; whatever else is wrong shows on the CPU again.
            if device == "cpu":
                raise err


def _require_modes(model: Any) -> None:
    """Raise TypeError where `forward` cannot be called as loops and exporters do: `(inputs, data_samples, mode=…)`."""
    parameters = inspect.signature(model.forward).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    if "mode" not in parameters and not takes_any:
        wanted = "forward(inputs, data_samples=None, mode='tensor')"
        raise TypeError(f"{type(model).__name__}.forward has no `mode`; loops call {wanted}")


def _forward(model: Any, inputs: Any, torch: Any) -> None:
    model.eval()
    with torch.no_grad():
        if model(inputs, mode="tensor") is None:
            raise ValueError(f"{type(model).__name__}.forward(inputs, mode='tensor') returns None")
        try:
            model(inputs, mode="no-such-mode")
        except Exception:  # any kind of refusal will do
            return
    raise ValueError(f"{type(model).__name__}.forward takes any `mode`: a misspelled one must be an error")


def _failed(what: str, err: Exception, root: Path) -> Finding:
    """Return an exception as a finding at the last place of it that is the toolbox's own."""
    frames = [each for each in traceback.extract_tb(err.__traceback__) if Path(each.filename).is_relative_to(root)]
    place = {"file": frames[-1].filename, "line": frames[-1].lineno} if frames else {}
    if isinstance(err, SyntaxError) and err.filename:
        place = {"file": err.filename, "line": err.lineno}
    if isinstance(err, MimctlError):
        return {"status": "fail", "message": f"{what}: {_joined(err)}", "hints": list(err.hints), **place}
    return {"status": "fail", "message": f"{what}: {type(err).__name__}: {err}", **place}


def _joined(err: MimctlError) -> str:
    return "; ".join([err.message, *err.causes])


def _place_of(found: Any) -> dict[str, Any]:
    try:
        return {"file": inspect.getsourcefile(found), "line": inspect.getsourcelines(found)[1]}
    except (TypeError, OSError):
        return {}
