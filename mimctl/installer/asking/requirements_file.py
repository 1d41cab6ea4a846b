"""Requirements files as pip reads them: one line is one request or one option, and each remembers where it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urljoin

from mimctl.errors import Origin, UsageError

Read = Callable[[str], str]
"""Returns the text of a file that an address names."""

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OF_LINE = re.compile(r"(?:^|\s+)(--(?:hash|config-settings?|global-option)(?:[=\s]).*)$")
_HASH = re.compile(r"(sha256|sha384|sha512):([0-9a-fA-F]+)")
_SPELLINGS = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-i": "--index-url",
    "--pypi-url": "--index-url",
    "-f": "--find-links",
    "-C": "--config-settings",
}
_WITH_VALUE = frozenset(
    {
        "--requirement",
        "--constraint",
        "--editable",
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--trusted-host",
        "--no-binary",
        "--only-binary",
        "--use-feature",
    }
)
_WITHOUT_VALUE = frozenset({"--no-index", "--pre", "--require-hashes", "--prefer-binary", "--always-unzip", "-Z"})
_WITHOUT_EFFECT = frozenset({"--prefer-binary", "--only-binary", "--use-feature", "--always-unzip", "-Z"})
"""Wheels are taken anyway, and the features are pip's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request: what a person could type as a word, and where it stands."""

    text: str
    origin: Origin | None = None
    """Its file and line; None for what was typed on the command line."""
    sha256: frozenset[str] = frozenset()
    """Hashes of which a file must have one; none are asked for where it is empty."""
    is_editable: bool = False
    folder: Path | None = None
    """Of the file it stands in: a path that is not found from the working directory counts from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContents:
    """All that requirements files say, those too that they name."""

    lines: tuple[Line, ...] = ()
    constraints: tuple[Line, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    pre: bool = False
    requires_hashes: bool = False
    builds: frozenset[str] = frozenset()
    """Names that `--no-binary` wants built from source."""

    def __add__(self, other: FileContents) -> FileContents:
        """Return what both say; an index of the later one replaces that of the earlier."""
        return FileContents(
            lines=(*self.lines, *other.lines),
            constraints=(*self.constraints, *other.constraints),
            index_url=other.index_url or self.index_url,
            extra_index_urls=(*self.extra_index_urls, *other.extra_index_urls),
            find_links=(*self.find_links, *other.find_links),
            trusted_hosts=(*self.trusted_hosts, *other.trusted_hosts),
            no_index=self.no_index or other.no_index,
            pre=self.pre or other.pre,
            requires_hashes=self.requires_hashes or other.requires_hashes,
            builds=self.builds | other.builds,
        )


def read_requirements(
    name: str, *, environ: Mapping[str, str], read: Read, is_constraint: bool = False
) -> FileContents:
    """Return what a requirements file (a path or an address) says, with all files that it names.

    `${NAME}` is replaced by the variable where it is set. Raises UsageError[requirements-file] with file and line for
    what cannot be read, and what `read` raises for a file that cannot.
    """
    return _Reader(environ=environ, read=read).file(name, is_constraint=is_constraint, named_by=None)


@dataclass(slots=True, kw_only=True)
class _Reader:
    environ: Mapping[str, str]
    read: Read
    open_files: list[str] = field(default_factory=list)

    def file(self, name: str, *, is_constraint: bool, named_by: Origin | None) -> FileContents:
        if name in self.open_files:
            raise _bad(f"`{name}` names itself", named_by, [" → ".join((*self.open_files, name))])
        try:
            text = self.read(name)
        except (OSError, UnicodeDecodeError) as err:
            reason = (err.strerror or str(err)) if isinstance(err, OSError) else "it is not UTF-8 text"
            raise _bad(f"`{name}` cannot be read", named_by, [reason]) from err
        self.open_files.append(name)
        contents = FileContents()
        for number, line in _logical_lines(text):
            origin = Origin(file=name, line=number)
            contents += self.line(_expanded(line, self.environ), name, origin, is_constraint=is_constraint)
        self.open_files.pop()
        return contents

    def line(self, text: str, name: str, origin: Origin, *, is_constraint: bool) -> FileContents:
        if text.startswith("-"):
            return self.option(text, name, origin, is_constraint=is_constraint)
        request, hashes = _split(text, origin)
        folder = None if "://" in name else Path(name).parent
        return _placed(Line(text=request, origin=origin, sha256=hashes, folder=folder), is_constraint=is_constraint)

    def option(self, text: str, name: str, origin: Origin, *, is_constraint: bool) -> FileContents:
        option, value = _option(text, origin)
        if option in ("--requirement", "--constraint"):
            inner = _beside(value, name)
            return self.file(inner, is_constraint=is_constraint or option == "--constraint", named_by=origin)
        if option == "--editable":
            folder = None if "://" in name else Path(name).parent
            line = Line(text=value, origin=origin, is_editable=True, folder=folder)
            return _placed(line, is_constraint=is_constraint)
        if option == "--no-binary":
            return _builds(value, origin)
        simple = {
            "--index-url": FileContents(index_url=value),
            "--extra-index-url": FileContents(extra_index_urls=(value,)),
            "--find-links": FileContents(find_links=(_link(value, name),)),
            "--trusted-host": FileContents(trusted_hosts=(value,)),
            "--no-index": FileContents(no_index=True),
            "--pre": FileContents(pre=True),
            "--require-hashes": FileContents(requires_hashes=True),
        }
        return simple.get(option, FileContents())


def _placed(line: Line, *, is_constraint: bool) -> FileContents:
    return FileContents(constraints=(line,)) if is_constraint else FileContents(lines=(line,))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that says something with its number: a `\\` at the end joins the next, comments are gone."""
    parts: list[str] = []
    begun = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not parts:
            begun = number
        # A comment ends the joined line, as it does for pip.
        if line.endswith("\\") and not _COMMENT.match(line):
            parts.append(line.removesuffix("\\"))
            continue
        parts.append(f" {line}" if parts and _COMMENT.match(line) else line)
        whole, parts = _COMMENT.sub("", "".join(parts)).strip(), []
        if whole:
            yield begun, whole
    rest = _COMMENT.sub("", "".join(parts)).strip()
    if rest:
        yield begun, rest


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: environ.get(found[1]) or found[0], text)


def _split(text: str, origin: Origin) -> tuple[str, frozenset[str]]:
    """Return the request of a line and the hashes behind it."""
    found = _OF_LINE.search(text)
    if found is None:
        return text, frozenset()
    words = _words(found[1], origin)
    hashes, index = [], 0
    while index < len(words):
        option, separator, value = words[index].partition("=")
        if not separator:
            index += 1
            value = words[index] if index < len(words) else ""
        index += 1
        if option != "--hash":
            raise _bad(f"`{option}` has no meaning for mimctl", origin, ["options of a build are not passed on"])
        parsed = _HASH.fullmatch(value)
        if parsed is None:
            raise _bad(f"`{value}` is no hash", origin, ["a hash is written `--hash=sha256:0123…`"])
        hashes.append((parsed[1], parsed[2].lower()))
    known = frozenset(digest for name, digest in hashes if name == "sha256")
    if hashes and not known:
        raise _bad("only sha256 hashes can be checked", origin, [f"it names {hashes[0][0]} alone"])
    return text[: found.start()].strip(), known


def _option(text: str, origin: Origin) -> tuple[str, str]:
    """Return an option line's option in its long spelling and its value, empty where it takes none."""
    words = _words(text, origin)
    head, separator, value = words[0].partition("=")
    if not words[0].startswith("--") and len(words[0]) > 2:  # `-rmore.txt`
        head, separator, value = words[0][:2], "=", words[0][2:].removeprefix("=")
    option = _SPELLINGS.get(head, head)
    rest = words[1:]
    if option in _WITH_VALUE:
        if not separator:
            if not rest:
                raise _bad(f"`{head}` needs a value", origin)
            value, rest = rest[0], rest[1:]
    elif option not in _WITHOUT_VALUE or separator:
        raise _bad(f"unknown option `{head}`", origin, hints=["what may stand here: `mimctl install --help`"])
    if rest:
        raise _bad(f"`{' '.join(rest)}` is too much after `{head}`", origin, ["an option stands on a line of its own"])
    return option, value


def _words(text: str, origin: Origin) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as err:
        raise _bad(f"`{text}` has an open quotation mark", origin) from err


def _builds(value: str, origin: Origin) -> FileContents:
    names = frozenset(name.strip() for name in value.split(",") if name.strip())
    if names & {":all:", ":none:"}:
        raise _bad(
            f"`--no-binary {value}` is not done",
            origin,
            ["mimctl builds only what is named"],
            hints=["name each: `--no-binary NAME`"],
        )
    return FileContents(builds=names)


def _beside(value: str, name: str) -> str:
    """Return where a file lies that another one names: beside that one."""
    if "://" in value:
        return value
    return urljoin(name, value) if "://" in name else str(Path(name).parent / value)


def _link(value: str, name: str) -> str:
    """Return a place of wheels: a path beside the file that names it, where there is one."""
    if "://" in value or "://" in name:
        return value
    beside = Path(name).parent / value
    return str(beside) if beside.exists() else value


def _bad(
    message: str, origin: Origin | None, causes: list[str] | None = None, hints: list[str] | None = None
) -> UsageError:
    return UsageError(message, code="requirements-file", causes=causes or [], hints=hints or [], origin=origin)


def located(line: Line) -> Line:
    """Return a line whose path, where it is not found from the working directory, counts from the file's folder."""
    if line.folder is None or not line.text.startswith("."):
        return line
    path, bracket, rest = line.text.partition("[")
    if Path(path).exists() or not (line.folder / path).exists():
        return line
    return replace(line, text=f"{line.folder / path}{bracket}{rest}")
