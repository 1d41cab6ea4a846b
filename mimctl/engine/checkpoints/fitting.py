"""Weights into a model: what fits is loaded, the rest is reported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mimctl.engine.ranks.split_tensors import split_like
from mimctl.errors import ConfigError, MimctlError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What `load_state_dict` did with each key."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """In the model, not in the file."""
    unexpected: tuple[str, ...]
    """In the file, not in the model."""
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """(key, shape in the file, shape in the model); such tensors are not loaded."""

    @property
    def is_complete(self) -> bool:
        """Return whether every tensor of the model was loaded and none was left over."""
        return not (self.missing or self.unexpected or self.mismatched)

    def summary(self) -> str:
        """Return one line with the counts and the first names."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        shapes = [f"{key} {list(found)} (model: {list(wanted)})" for key, found, wanted in self.mismatched]
        for name, keys in (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", shapes)):
            if keys:
                parts.append(f"{len(keys)} {name}: {', '.join(list(keys)[:3])}{', …' if len(keys) > 3 else ''}")
        return "; ".join(parts)


def load_state_dict(
    model: nn.Module, state_dict: Mapping[str, Any], *, strict: bool = False, prefix: str = ""
) -> LoadReport:
    """Load what fits and report the rest; `strict` raises MimctlError[weights-mismatch] where anything is left.

    Keys may carry DDP's `module.`; with `prefix` only keys that start with it are taken, without it. A module with a
    method `upgrade_state_dict(state_dict, prefix)` may first rename what old checkpoints call otherwise.
    """
    source = {key.removeprefix("module."): value for key, value in state_dict.items() if isinstance(value, Tensor)}
    if prefix:
        stem = prefix.rstrip(".") + "."
        source = {key.removeprefix(stem): value for key, value in source.items() if key.startswith(stem)}
    for name, module in model.named_modules():
        if callable(upgrade := getattr(module, "upgrade_state_dict", None)):
            upgrade(source, f"{name}." if name else "")
    own = model.state_dict()
    fitting: dict[str, Tensor] = {}
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    for key, value in source.items():
        if key not in own:
            continue
        if own[key].shape == value.shape:
            fitting[key] = split_like(value, own[key])
        else:
            mismatched.append((key, tuple(value.shape), tuple(own[key].shape)))
    model.load_state_dict(fitting, strict=False)
    report = LoadReport(
        loaded=tuple(fitting),
        missing=tuple(key for key in own if key not in source and not key.endswith("num_batches_tracked")),
        unexpected=tuple(key for key in source if key not in own),
        mismatched=tuple(mismatched),
    )
    if strict and not report.is_complete:
        raise _mismatch(report)
    return report


def revised(state_dict: Mapping[str, Any], revise_keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return weights whose keys were changed by each (regular expression, replacement) in turn."""
    state = dict(state_dict)
    for pattern, replacement in revise_keys:
        state = {re.sub(pattern, replacement, key): value for key, value in state.items()}
    return state


def below_prefix(weights: Mapping[str, Any], prefix: str, source: str) -> dict[str, Any]:
    """Return the weights whose keys begin with `prefix.`, without it; raise ConfigError[bad-init-cfg] where none do.

    DDP's `module.` before the prefix does not count. `source` is what messages call the checkpoint.
    """
    stem = prefix.rstrip(".") + "."
    plain = {key.removeprefix("module."): value for key, value in weights.items()}
    found = {key.removeprefix(stem): value for key, value in plain.items() if key.startswith(stem)}
    if found:
        return found
    begins = dict.fromkeys(key.partition(".")[0] for key in plain)
    near = nearest(prefix, set(begins))
    raise ConfigError(
        f"no weight in {source} begins with `{stem}`",
        code="bad-init-cfg",
        causes=[f"its keys begin with {', '.join(f'`{each}`' for each in list(begins)[:6])}"],
        hints=[f"did you mean `prefix='{near[0]}'`?"] if near else [],
    )


def _mismatch(report: LoadReport) -> MimctlError:
    return MimctlError(
        "the weights do not fit the model",
        code="weights-mismatch",
        causes=[report.summary()],
        hints=["check that the config is the one that the weights were trained with"],
    )
