"""The manifest `plugin.toml` of a toolbox: its names, the verbs and configs it offers, the engine it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError, Origin, did_you_mean
from mimctl.plugin.manifest_rules import SCHEMA_VERSION, Mistake, find_mistakes, line_of

FILE_NAME = "plugin.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The static facts of one toolbox. `verbs` maps a verb to `module:function`, called in the child."""

    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    requires_engine: str | None = None
    """Versions of mimctl's engine that it works with (PEP 440), None for any."""
    requires_ops: bool = False
    verbs: Mapping[str, str] = field(default_factory=dict)
    configs_root: str = "configs"
    families: tuple[tuple[str, str], ...] = ()
    """(family name, glob of its configs below the root)."""
    contract_input: tuple[int, ...] | None = None
    """Shape of the tensor that `plugin check` gives to each model's `forward`; None where it gives none."""
    family_inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Glob of a family's configs → shape of the tensor for its models, where that is another one."""

    @property
    def words(self) -> tuple[str, ...]:
        """All that the toolbox goes by, each once: its name, its aliases, its scopes."""
        return tuple(dict.fromkeys((self.name, *self.aliases, *self.scopes)))


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest; raise MimctlError[broken-plugin] naming the file, the line and what is wrong."""
    text, data = load_manifest(path)
    for mistake in find_mistakes(data):
        if mistake.is_fatal:
            raise to_error(mistake, path, text)
    return make_manifest(data)


def load_manifest(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the raw tables of a manifest; raise MimctlError[broken-plugin] where it is no TOML."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError as err:
        raise _broken("it is missing", Origin(file=str(path))) from err
    except tomllib.TOMLDecodeError as err:
        raise _broken(f"not valid TOML: {err}", Origin(file=str(path), line=_line_in(str(err)))) from err
    except RecursionError as err:
        raise _broken("not valid TOML: it is nested too deeply", Origin(file=str(path))) from err
    except (OSError, UnicodeDecodeError) as err:
        raise _broken(f"it cannot be read: {err}", Origin(file=str(path))) from err


def make_manifest(data: Mapping[str, Any]) -> Manifest:
    """Turn the raw tables of a manifest without fatal mistakes into a Manifest (pure)."""
    shape = data.get("contract", {}).get("input")
    families = data.get("families", ())
    return Manifest(
        name=data["name"],
        summary=data["summary"],
        aliases=tuple(data.get("aliases", ())),
        scopes=tuple(data.get("scopes", ())),
        requires_engine=data.get("requires_engine"),
        requires_ops=data.get("requires_ops", False),
        verbs=dict(data.get("verbs", {})),
        configs_root=data.get("configs", {}).get("root", "configs"),
        families=tuple((each["name"], each["configs"]) for each in families),
        contract_input=tuple(shape) if shape else None,
        family_inputs={each["configs"]: tuple(each["input"]) for each in families if "input" in each},
    )


def to_error(mistake: Mistake, path: Path, text: str) -> MimctlError:
    """Return a mistake as an error with its file and line."""
    hints = did_you_mean(mistake.near)
    return _broken(mistake.message, Origin(file=str(path), line=line_of(text, mistake.path)), hints)


def _broken(reason: str, origin: Origin, hints: list[str] | None = None) -> MimctlError:
    return MimctlError(f"manifest: {reason}", code="broken-plugin", origin=origin, hints=hints or [])


def _line_in(message: str) -> int | None:
    """Return the line that tomllib names in its message (`… (at line 3, column 8)`)."""
    _, _, rest = message.rpartition("at line ")
    digits = rest.partition(",")[0]
    return int(digits) if digits.isdigit() else None


__all__ = ["FILE_NAME", "SCHEMA_VERSION", "Manifest", "load_manifest", "make_manifest", "read_manifest", "to_error"]
