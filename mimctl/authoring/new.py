"""Write a new toolbox: a small one that trains at once, to be filled with something of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mimctl import __version__
from mimctl.config.types import FILE_NAME, generate, to_text
from mimctl.errors import UsageError
from mimctl.launch.place import Workplace
from mimctl.plugin.discover import names_of
from mimctl.plugin.manifest_rules import find_mistakes
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES

_TEMPLATES = Path(__file__).with_name("skeleton")
_PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "plugin.toml": "mimctl_@name@/plugin.toml",
    "models.py": "mimctl_@name@/models.py",
    "datasets.py": "mimctl_@name@/datasets.py",
    "metrics.py": "mimctl_@name@/metrics.py",
    "config.py": "mimctl_@name@/configs/@name@/@name@_small.py",
    "test_toolbox.py": "tests/test_toolbox.py",
}


def write_toolbox(name: str, folder: Path, place: Workplace | None = None) -> list[Path]:
    """Write a toolbox called `name` into `folder`, which is made, and return the files in their order.

    Raises UsageError where the name cannot be a toolbox's or is one of `place`, and where the folder holds files.
    """
    _require_name(name, place)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"`{folder}` is there already", hints=["name another folder: `--dir FOLDER`"])
    written = []
    for path, text in files_of(name):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written.append(target)
    table = folder / f"mimctl_{name}" / FILE_NAME
    table.write_text(to_text(generate(table.parent)), encoding="utf-8")
    return [*written, table]


def files_of(name: str) -> Iterator[tuple[str, str]]:
    """Yield (path in the project, text) of a new toolbox, but for its table of types."""
    major, minor = [*__version__.split("."), "0"][:2]
    words = {
        "@name@": name,
        "@Name@": "".join(part.capitalize() for part in name.split("_")),
        "@dashed@": name.replace("_", "-"),
        "@range@": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }
    for template, path in _PLACES.items():
        yield _filled(path, words), _filled((_TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8"), words)
    yield f"mimctl_{name}/__init__.py", f'"""The toolbox `{name}`."""\n'


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


def _require_name(name: str, place: Workplace | None) -> None:
    mistakes = list(find_mistakes({"schema_version": 1, "name": name, "summary": "new"}))
    if mistakes:
        raise UsageError(f"`{name}` cannot be a toolbox's name", causes=[each.message for each in mistakes])
    taken = {word: each.distribution for each in (place.plugins if place else ()) for word in names_of(each)}
    taken |= {word: f"mimctl-{toolbox}" for word, toolbox in OPENMMLAB_NAMES.items()}
    taken |= {toolbox: f"mimctl-{toolbox}" for toolbox in OPENMMLAB_NAMES.values()}
    if name in taken:
        raise UsageError(f"`{name}` is a name of {taken[name]}", hints=["take another word"])
