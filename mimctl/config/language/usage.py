"""Which top-level names the files of a config use."""

from __future__ import annotations

import ast
import re

from mimctl.config.language.parse import parse_python, read_source


def reads_name(file: str, name: str) -> bool:
    """Say whether a config file uses a top-level name of itself or of its base, not only assigns it."""
    if not file.endswith(".py"):
        return False
    text = read_source(file)
    if name not in text:
        return False
    used = re.search(rf"_base_\s*\.\s*{re.escape(name)}\b", text) is not None
    tree = ast.Module(parse_python(text, file), [])
    return used or any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) for node in ast.walk(tree)
    )
