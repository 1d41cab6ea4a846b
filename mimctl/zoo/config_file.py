"""Writes configs beside their weights, under a header that says what they are; what a person edited is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from mimctl.config import Config
from mimctl.config.beside import Header, read_header
from mimctl.transfer import write_file

Written: TypeAlias = Literal["new", "same", "kept"]
"""What became of a config: written, there already, or left as the user edited it."""


def write_config(path: Path, config: Config, *, title: str, weights: str) -> Written:
    """Write `config` flattened to `path`, unless a file there was edited or comes from elsewhere: that is kept."""
    return write_text(path, config.pretty_text, title=title, weights=[weights], needs_trust="custom_imports" in config)


def write_text(path: Path, body: str, *, title: str, weights: Sequence[str] = (), needs_trust: bool = False) -> Written:
    """Write the text of a Python or YAML config under a header, unless a file there was edited or is not ours."""
    digest = _digest(body)
    old, old_body = read_header(path)
    if path.exists() and (old is None or old.digest != _digest(old_body)):
        return "kept"
    names = tuple(dict.fromkeys([*(old.weights if old else ()), *weights]))
    header = Header(title=title, weights=names, needs_trust=needs_trust, digest=digest)
    text = header.render() + body
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return "same"
    write_file(path, text.encode())
    return "new"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
