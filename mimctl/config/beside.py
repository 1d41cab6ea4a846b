"""Which config belongs to a checkpoint: the file beside it (downloads write one with a header), or what it carries."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mimctl.errors import ConfigError, IntegrityError

TRUST_LINE = "# it imports code of others (custom_imports): using it needs --trust-config"
_SUFFIXES = (".py", ".yaml", ".yml", ".json")
_TAIL = re.compile(r"(?:[-_](?:20\d{6}(?:_\d{6})?|[0-9a-f]{7,8}))+$")
_OF_A_RUN = ("epoch_", "iter_", "best_", "last")
_MOST_HEADER = 100 << 20
_METADATA_KEY = "mimctl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The comment lines at the top of a config that a download wrote."""

    title: str
    weights: tuple[str, ...] = ()
    needs_trust: bool = False
    digest: str = ""
    """SHA-256 of the text below the header: shows whether someone edited it."""

    def render(self) -> str:
        """Return the lines, the last one ended."""
        lines = [f"# {self.title}", *(f"# weights: {name}" for name in self.weights)]
        lines += [TRUST_LINE] if self.needs_trust else []
        return "\n".join([*lines, f"# sha256 of what follows: {self.digest}"]) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """The config that belongs to a checkpoint: a file, or the text that the checkpoint carries (as data)."""

    path: Path | None = None
    text: str | None = None
    source: Literal["option", "beside", "checkpoint"] = "option"
    needs_trust: bool = field(default=False)


def read_header(path: Path) -> tuple[Header | None, str]:
    """Return the header of a config that a download wrote (None for other files) and the text below it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None, ""
    found = re.match(
        r"# (?P<title>.*)\n(?P<middle>(?:# .*\n)*?)# sha256 of what follows: (?P<digest>[0-9a-f]*)\n", text
    )
    if found is None:
        return None, text
    middle = found["middle"].splitlines()
    header = Header(
        title=found["title"],
        weights=tuple(line.removeprefix("# weights: ") for line in middle if line.startswith("# weights: ")),
        needs_trust=TRUST_LINE in middle,
        digest=found["digest"],
    )
    return header, text[found.end() :]


def is_downloaded(path: Path) -> bool:
    """Return whether a download wrote this config (edited since or not): its `custom_imports` need consent."""
    return read_header(path)[0] is not None


def config_for_checkpoint(checkpoint: Path, *, config: Path | None = None) -> CheckpointConfig | None:
    """Return the config that belongs to `checkpoint`, or None where only its meta can tell (read in the child).

    In this order: `config` as given; the file beside the checkpoint that names it in its header, else bears its name
    (without date and hash), else is the only config of the work dir; the text in the metadata of a `.safetensors` file.
    Raises ConfigError[config-ambiguous] where several files beside it could be meant, IntegrityError[bad-checkpoint]
    for a malformed `.safetensors` header.
    """
    if config is not None:
        return CheckpointConfig(path=config, source="option", needs_trust=_needs_trust(config))
    beside = _beside(checkpoint)
    if len(beside) == 1:
        return CheckpointConfig(path=beside[0], source="beside", needs_trust=_needs_trust(beside[0]))
    text = config_in_safetensors(checkpoint) if checkpoint.suffix == ".safetensors" else None
    if text is not None:
        needs_trust = "custom_imports" in text
        return CheckpointConfig(text=text, source="checkpoint", needs_trust=needs_trust)
    if beside:
        raise ConfigError(
            f"several configs beside `{checkpoint.name}` could be meant",
            code="config-ambiguous",
            causes=[path.name for path in beside[:20]],
            hints=[f"name one: `--config {beside[0]}`"],
        )
    return None


def config_in_safetensors(path: Path) -> str | None:
    """Return the config text in the metadata of a `.safetensors` file, read without torch; None where it has none.

    Source of the format: 8 bytes of little-endian length, then JSON, whose `__metadata__` maps text to text.
    """
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if not 2 <= size <= min(_MOST_HEADER, path.stat().st_size - 8):
            raise _bad_header(path, f"the header claims {size} bytes")
        raw = stream.read(size)
    try:
        metadata = json.loads(raw).get("__metadata__") or {}
        meta = json.loads(metadata.get(_METADATA_KEY) or "{}")
    except (ValueError, AttributeError, TypeError) as problem:
        raise _bad_header(path, "the header is not the JSON of the format") from problem
    text = meta.get("cfg") if isinstance(meta, dict) else None
    return text if isinstance(text, str) and text.strip() else None


def _beside(checkpoint: Path) -> Sequence[Path]:
    """Return the configs in the checkpoint's folder that could be its own, the best kind of match only."""
    folder = checkpoint.parent
    found = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    headers = {path: header for path in found if path.suffix == ".py" and (header := read_header(path)[0])}
    named = [path for path, header in headers.items() if checkpoint.name in header.weights]
    if named:
        return named
    for stem in (checkpoint.stem, _TAIL.sub("", checkpoint.stem)):
        same = [path for path in found if path.stem == stem]
        if same:
            return same
    if not checkpoint.stem.startswith(_OF_A_RUN):
        return []
    loose = [path for path in found if path.suffix == ".py" and path not in headers and _looks_like_config(path)]
    return loose if len(loose) == 1 else []


def _looks_like_config(path: Path) -> bool:
    try:
        return re.search(r"^(?:model|_base_)\s*=", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _needs_trust(path: Path) -> bool:
    header, _ = read_header(path)
    return header is not None and header.needs_trust


def _bad_header(path: Path, cause: str) -> IntegrityError:
    return IntegrityError(f"`{path}` is not a safetensors file", code="bad-checkpoint", causes=[cause])
