"""The table of published data sets, one TOML file each in `table/`: addresses, hashes, and what lies where afterwards.

A person's own file of that form is a data set too. docs/reference/data-sets.md says what each key means.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.errors import UsageError, did_you_mean, nearest

FOLDER = Path(__file__).with_name("table")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SUFFIX = ".toml"
_FILE_NAME = re.compile(r"[\w][\w.+-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One published file of a data set."""

    part: str
    name: str
    """What it is called on disk; says by its suffix whether it is an archive."""
    urls: tuple[str, ...]
    """Where the same bytes lie, the best first."""
    gives: tuple[str, ...]
    """Paths below the data set's folder that are there once it is in place."""
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    md5: str | None = None
    unchecked: str | None = None
    """Why no hash is named, where none is."""
    into: str = "."
    """Folder below the data set's, in which it is put or unpacked."""
    inner: tuple[str, ...] = ()
    """Archives inside the archive that are unpacked too, each beside itself."""
    room: int | None = None
    """Bytes that it unpacks to, where that is far more than `size`."""
    optional: bool = False
    """Whether only a person who asks for its part gets it."""

    @property
    def is_archive(self) -> bool:
        """Return whether it is unpacked."""
        return self.name.endswith(ARCHIVES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One data set."""

    name: str
    files: tuple[DataFile, ...]
    folder: str
    """Where configs look for it, relative to the working folder."""
    title: str = ""
    task: str = ""
    home: str = ""
    licence: str = ""
    source: str = ""
    """Whose word addresses and hashes are."""
    layout: str = ""
    aliases: tuple[str, ...] = ()
    terms: str | None = None
    train: Mapping[str, str] = field(default_factory=dict)
    """Toolbox → the folder below its own that `train --data` reads."""
    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Toolbox or package → configs that look for it in `folder`."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of its parts, in order."""
        return tuple(dict.fromkeys(each.part for each in self.files))

    @property
    def size(self) -> int:
        """Return the bytes to fetch where no part is named, as far as they are known."""
        return sum(each.size or 0 for each in self.files if not each.optional)

    def choose(self, parts: Sequence[str]) -> tuple[DataFile, ...]:
        """Return the files of these parts (none: all that are not optional); raise UsageError[unknown-dataset]."""
        for part in parts:
            if part not in self.parts:
                raise UsageError(
                    f"data set `{self.name}` has no part `{part}`",
                    code="unknown-dataset",
                    causes=[f"it has {', '.join(self.parts)}"],
                    hints=did_you_mean(nearest(part, set(self.parts))),
                )
        return tuple(each for each in self.files if (each.part in parts if parts else not each.optional))


def data_set_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of all data sets, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_data_sets(folder: Path = FOLDER) -> tuple[DataSet, ...]:
    """Return all data sets, sorted by name."""
    return tuple(read_data_set(folder / f"{name}.toml") for name in data_set_names(folder))


def find_data_set(word: str, folder: Path = FOLDER) -> DataSet | None:
    """Return the data set that `word` means, None for none.

    It is a name or an alias, letters of either case, with or without `-` and `_`; or a file of the table's form, which
    ends in `.toml`. Raises UsageError[bad-data-set] for such a file that says what it may not.
    """
    path = find_description(word, folder)
    if path is None:
        return None
    return _read_own(path) if word.endswith(_SUFFIX) else read_data_set(path)


def find_description(word: str, folder: Path = FOLDER) -> Path | None:
    """Return the file that describes the data set which `word` means as `find_data_set` has it, None for none."""
    if word.endswith(_SUFFIX):
        return Path(word).expanduser()
    wanted = _fold(word)
    name = next((name for name in data_set_names(folder) if _fold(name) == wanted), None)
    if name is None:
        found = (each.name for each in load_data_sets(folder) if wanted in map(_fold, each.aliases))
        name = next(found, None)
    return None if name is None else folder / f"{name}{_SUFFIX}"


def data_sets_of(paths: Iterable[str], folder: Path = FOLDER) -> list[DataSet]:
    """Return the data sets that bring one of these paths of a config, where they are put without being told."""
    wanted = [PurePosixPath(path) for path in paths]
    found = []
    for each in load_data_sets(folder):
        root = PurePosixPath(each.folder)
        tops = {root / PurePosixPath(given).parts[0] for file in each.files for given in file.gives}
        if any(path == root or any(path.is_relative_to(top) for top in tops) for path in wanted):
            found.append(each)
    return found


def unknown_data_set(word: str, others: Iterable[str] = (), folder: Path = FOLDER) -> UsageError:
    """Return the error for a name that neither the table nor `others` (names of a package) have."""
    names = {*data_set_names(folder), *others}
    near = nearest(word, names)
    return UsageError(
        f"no data set `{word}` is known",
        code="unknown-dataset",
        hints=[*did_you_mean(near), "list them: `mimctl download --list-datasets`"],
        details={"known": sorted(names)},
    )


def read_data_set(path: Path) -> DataSet:
    """Read one file of the table. Raises ValueError for what it may not say, OSError."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        files = tuple(map(_file, data.pop("files")))
        lists: dict[str, Any] = {"aliases": tuple(data.pop("aliases", ()))}
        lists["configs"] = {name: tuple(paths) for name, paths in data.pop("configs", {}).items()}
        lists["train"] = {name: str(inner) for name, inner in data.pop("train", {}).items()}
        name = path.stem.lower()
        found = DataSet(name=name, files=files, **{"folder": f"data/{name}", **lists, **_texts(data)})
        _inside(found.folder, *found.train.values())
    except KeyError as problem:
        raise ValueError(f"it lacks {problem}") from problem
    except (TypeError, AttributeError) as problem:
        raise ValueError(
            str(problem).replace("DataSet.__init__() ", "").replace("DataFile.__init__() ", "")
        ) from problem
    for each in (found.name, *found.aliases, *found.parts):
        if not _NAME.fullmatch(each):
            raise ValueError(f"not a name: {each!r}")
    return found


def _read_own(path: Path) -> DataSet:
    try:
        return read_data_set(path)
    except (OSError, ValueError) as problem:
        cause = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise UsageError(
            f"`{path}` describes no data set",
            code="bad-data-set",
            causes=[cause],
            hints=["its keys: docs/reference/data-sets.md"],
        ) from problem


def _file(data: dict[str, Any]) -> DataFile:
    lists: dict[str, Any] = {name: tuple(data.pop(name, ())) for name in ("urls", "gives", "inner")}
    found = DataFile(**lists, **data)
    if not _FILE_NAME.fullmatch(found.name):
        raise ValueError(f"not a file's name: {found.name!r}")
    if not found.urls or not found.gives:
        raise ValueError(f"`{found.name}` needs `urls` and `gives`")
    if (found.sha256 is None and found.md5 is None) == (found.unchecked is None):
        raise ValueError(f"`{found.name}` needs a hash, or `unchecked` with the reason why it has none")
    _inside(found.into, *found.gives, *found.inner)
    if not all(PurePosixPath(each).is_relative_to(found.into) or found.into == "." for each in found.gives):
        raise ValueError(f"`{found.name}` gives what does not lie in `{found.into}`")
    return found


def _texts(data: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in data.items():
        if not (isinstance(value, str) and value.isprintable()):
            raise ValueError(f"`{name}` is no line of text")
    return dict(data)


def _inside(*paths: str) -> None:
    for text in paths:
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or "\\" in text or not text:
            raise ValueError(f"not a path inside the data set's folder: {text!r}")


def _fold(word: str) -> str:
    return re.sub(r"[-_ ]", "", word.lower())
