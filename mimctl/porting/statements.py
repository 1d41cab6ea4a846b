"""Import statements written anew: the module's name alone where that is enough, else one statement per new module."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass

from mimctl.porting.model import Change
from mimctl.porting.source import Source

_BLANK = r"(?:\s|\\(?:\r\n|\r|\n))"
_HEAD = re.compile(rf"from{_BLANK}+(?P<module>.+?){_BLANK}+import\b|from{_BLANK}+(?P<bare>.+?){_BLANK}*import\b", re.S)
_MIN_WIDTH = 79


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One imported name as it is to be written: from which module (empty: a plain `import`), and its text."""

    module: str
    text: str
    alias: ast.alias | None = None


def rewrite_from(node: ast.ImportFrom, items: list[Item], source: Source) -> list[Change]:
    """Return the changes that make `from module import names` import `items`, one or more for each of its names."""
    modules = list(dict.fromkeys(item.module for item in items))
    aliases = [item.alias for item in items]
    if modules == [node.module] and all(_is_same(item, source) for item in items):
        return []
    if len(modules) == 1 and modules[0] and aliases == node.names:
        return _in_place(node, items, source)
    return [_split(node, items, modules, source)]


def _is_same(item: Item, source: Source) -> bool:
    return item.alias is not None and _text(item.alias, source) == item.text


def _text(alias: ast.alias, source: Source) -> str:
    start, end = source.span(alias)
    return source.text[start:end]


def _in_place(node: ast.ImportFrom, items: list[Item], source: Source) -> list[Change]:
    start, end = source.span(node)
    head = _HEAD.match(source.text, start, end)
    assert head is not None
    group = "module" if head["module"] is not None else "bare"
    changes = [Change(head.start(group), head.end(group), items[0].module)] if items[0].module != node.module else []
    for item in items:
        assert item.alias is not None
        first, last = source.span(item.alias)
        if source.text[first:last] != item.text:
            changes.append(Change(first, last, item.text))
    return changes


def _split(node: ast.ImportFrom, items: list[Item], modules: list[str], source: Source) -> Change:
    start, end = source.span(node)
    line_start = source.starts[node.lineno - 1]
    before = source.text[line_start:start]
    rest = re.match(r"[^\r\n]*", source.text[end:])
    stands_alone = not before.strip() and rest is not None and not rest[0].strip().startswith(";")
    newline = _newline(source, node.lineno)
    comments = _comments(source.text[start:end], source, node)
    lines = re.split(r"\r\n|\r|\n", source.text[start:end])
    width = max([_MIN_WIDTH, *(len(line) for line in lines), len(before + lines[0])])
    statements = []
    for module in modules:
        held = [item for item in items if item.module == module]
        if not module:
            statements += [f"import {item.text}" for item in dict.fromkeys(held)]
            continue
        flat = f"from {module} import {', '.join(dict.fromkeys(item.text for item in held))}"
        notes = [comments[id(item.alias)] for item in held if id(item.alias) in comments]
        if not any(each.is_any() for each in notes) and (len(lines) == 1 or len(before + flat) <= width):
            statements.append(flat)
        else:
            statements.append(_over_lines(module, held, comments, before if stands_alone else "", newline))
    return Change(start, end, (newline + before if stands_alone else "; ").join(statements))


@dataclass(slots=True)
class _Comments:
    """The comments that belong to one name: on the line of the bracket, on lines of their own, behind it."""

    head: str
    above: list[str]
    behind: str
    below: list[str]

    def is_any(self) -> bool:
        return bool(self.head or self.above or self.behind or self.below)


def _over_lines(module: str, items: list[Item], comments: dict[int, _Comments], before: str, newline: str) -> str:
    indent = before + "    "
    own = [comments.get(id(item.alias)) or _Comments("", [], "", []) for item in items]
    parts = [f"from {module} import (" + "".join(f"  {each.head}" for each in own if each.head)]
    for item, each in zip(items, own, strict=True):
        parts += [indent + line for line in each.above]
        parts.append(f"{indent}{item.text}," + (f"  {each.behind}" if each.behind else ""))
        parts += [indent + line for line in each.below]
    return newline.join([*parts, f"{before})"])


def _comments(text: str, source: Source, node: ast.ImportFrom) -> dict[int, _Comments]:
    """Return the comments inside a statement by the name (id of its alias) that they stand beside."""
    found = {id(alias): _Comments("", [], "", []) for alias in node.names}
    for token in tokenize.generate_tokens(io.StringIO(text, newline=None).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = node.lineno + token.start[0] - 1
        on_line = [alias for alias in node.names if alias.end_lineno == line]
        later = [alias for alias in node.names if alias.lineno > line]
        if on_line:
            found[id(on_line[-1])].behind = token.string
        elif line == node.lineno and later:
            found[id(later[0])].head = token.string
        elif later:
            found[id(later[0])].above.append(token.string)
        else:
            found[id(node.names[-1])].below.append(token.string)
    return found


def _newline(source: Source, line: int) -> str:
    """Return the line end of a line, or of the file's first line where it is the last and has none."""
    for number in (line, 1):
        if number < len(source.starts):
            found = re.search(r"\r\n|\r|\n", source.text[source.starts[number - 1] : source.starts[number]])
            if found is not None:
                return found[0]
    return "\n"
