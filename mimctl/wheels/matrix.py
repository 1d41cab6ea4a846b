"""Reads wheels-matrix.yaml and expands it into build and verify cells, for people, for CI and for `wheels build`."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from mimctl.errors import ConfigError, Origin, UsageError, nearest

SCHEMA_VERSION = 1
MAX_CELLS = 256
"""The most jobs that one GitHub Actions matrix may have."""

Kind = Literal["build", "verify"]
Proof = Literal["local", "ci"]
"""Where a cell can be proved: on any Linux machine of its platform without a GPU, or only where CI has other ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCell:
    """One wheel to build."""

    name: str
    project: str
    """The distribution, a key of `projects`."""
    source: Path
    """The project's folder."""
    platform: str
    """"any", or the tag that the wheel is to reach, such as manylinux_2_34_x86_64."""
    runner: str
    backend: str | None = None
    """What its operators run on ("cpu", "cu13", "rocm", "python"); None for a wheel without operators."""
    toolkit: str | None = None
    """CUDA toolkit, "13.0"."""
    archs: tuple[str, ...] = ()
    """Compute capabilities with machine code, "9.0"."""
    ptx: tuple[str, ...] = ()
    min_driver: str | None = None
    torch_headers: str | None = None
    """The torch whose headers are compiled against, exactly; None where nothing is compiled."""
    target_torch: str | None = None
    """The oldest torch that the wheel works with."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the build."""
    labels: tuple[str, ...] = ("",)
    """Local version labels: the wheel is written once for each, "" being the plain version."""
    container: str | None = None
    """Image whose C library is as old as `platform` promises; CI builds in it."""
    proof: Proof = "ci"

    @property
    def is_compiled(self) -> bool:
        """Whether the build needs a compiler: its wheel is for one platform."""
        return self.platform != "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyCell:
    """One place where a built wheel is installed and tested."""

    name: str
    build: str
    project: str
    torch: str
    python: str
    runner: str
    backend: str | None
    torch_build: str
    """The torch build to install: "cpu", "cu130", …"""
    platform: str
    """Of the build: "any", or the tag that the wheel is to reach."""
    source: Path
    """The project's folder; its `tests` are run."""
    proof: Proof = "ci"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What wheels-matrix.yaml says, expanded."""

    path: Path
    builds: tuple[BuildCell, ...]
    verifies: tuple[VerifyCell, ...]
    chosen_torch: str | None = None

    @property
    def verified_torch(self) -> str | None:
        """The newest torch that any verify cell names."""
        return max((cell.torch for cell in self.verifies), key=_release, default=None)

    @property
    def default_torch(self) -> str | None:
        """The torch that an installation brings where there is none: the one that the file names, else the newest."""
        return self.chosen_torch or self.verified_torch

    def select_verifies(self, names: Sequence[str]) -> tuple[VerifyCell, ...]:
        """Return the verify cells with these names, or of builds of these names; all where none is given.

        Raises UsageError[wheels-cell].
        """
        known = {cell.name for cell in self.verifies} | {cell.build for cell in self.verifies}
        self._check_names(names, known, "verify cell or build")
        return tuple(cell for cell in self.verifies if not names or {cell.name, cell.build} & set(names))

    def select(self, names: Sequence[str]) -> tuple[BuildCell, ...]:
        """Return the build cells with these cell or project names, all where none is given; UsageError[wheels-cell]."""
        known = {cell.name for cell in self.builds} | {cell.project for cell in self.builds}
        self._check_names(names, known, "build cell or project")
        return tuple(cell for cell in self.builds if not names or {cell.name, cell.project} & set(names))

    def _check_names(self, names: Sequence[str], known: set[str], what: str) -> None:
        for name in names:
            if name not in known:
                near = nearest(name, known)
                raise UsageError(
                    f"no {what} `{name}` in {self.path.name}",
                    code="wheels-cell",
                    hints=[f"did you mean `{near[0]}`?"] if near else [f"there are {_some(known)}"],
                )


def read_matrix(path: Path) -> Matrix:
    """Read a matrix file; raise ConfigError[wheels-matrix] with file and line where it is missing or malformed."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except OSError as err:
        raise ConfigError(
            f"no wheels matrix at `{path}`",
            code="wheels-matrix",
            causes=[err.strerror or str(err)],
            hints=["run this in the folder of a project that has a `wheels-matrix.yaml`, or name one: `--matrix FILE`"],
        ) from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        mark = getattr(err, "problem_mark", None)
        origin = Origin(file=str(path), line=mark.line + 1 if mark else None)
        raise ConfigError(
            f"`{path}` is not valid YAML", code="wheels-matrix", causes=[str(err).split("\n")[0]], origin=origin
        ) from err
    return _Reader(path, text).matrix(data)


def to_github(cells: Sequence[BuildCell | VerifyCell]) -> str:
    """Return cells as the `matrix` of a GitHub Actions job, on one line; UsageError[wheels-matrix] above 256 cells."""
    if len(cells) > MAX_CELLS:
        raise UsageError(
            f"the matrix has {len(cells)} cells, a GitHub Actions matrix at most {MAX_CELLS}",
            code="wheels-matrix",
            hints=["verify fewer combinations in wheels-matrix.yaml"],
        )
    return json.dumps({"include": [cell_data(cell) for cell in cells]}, separators=(",", ":"))


def cell_data(cell: BuildCell | VerifyCell) -> dict[str, object]:
    """Return a cell as plain JSON data."""
    data = asdict(cell)
    data.pop("source", None)
    return data


def _some(names: set[str]) -> str:
    shown = sorted(names)[:12]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Checks the data of one file while turning it into cells."""

    path: Path
    text: str

    def matrix(self, data: object) -> Matrix:
        top = self.table(
            data,
            "the file",
            {"schema_version", "projects", "builds", "verify", "default_torch"},
            {"projects", "builds"},
        )
        if top.get("schema_version") != SCHEMA_VERSION:
            self.fail(f"schema_version is {top.get('schema_version')!r}, this mimctl reads {SCHEMA_VERSION}", "schema")
        projects = self.strings(top["projects"], "projects")
        builds = tuple(self.build(item, projects) for item in self.items(top["builds"], "builds"))
        names = [cell.name for cell in builds]
        for name in names:
            if names.count(name) > 1:
                self.fail(f"two builds are named `{name}`", name)
        by_name = {cell.name: cell for cell in builds}
        verifies = tuple(
            cell for item in self.items(top.get("verify") or [], "verify") for cell in self.verify(item, by_name)
        )
        verify_names = [cell.name for cell in verifies]
        for name in verify_names:
            if verify_names.count(name) > 1:
                self.fail(f"two verify entries make the cell `{name}`", "verify")
        chosen = self.text_of(top["default_torch"], "default_torch", "the file") if "default_torch" in top else None
        if chosen is not None and chosen not in {cell.torch for cell in verifies}:
            self.fail(f"`default_torch` is {chosen}, which no verify entry names", "default_torch")
        return Matrix(path=self.path, builds=builds, verifies=verifies, chosen_torch=chosen)

    def build(self, item: object, projects: Mapping[str, str]) -> BuildCell:
        allowed = set(BuildCell.__dataclass_fields__) - {"source"}
        values = self.table(item, "a build", allowed, {"name", "project", "platform", "runner"})
        name = str(values["name"])
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            self.fail(f"`{name}` is no name for a build: letters, digits, `.`, `_`, `-`", name)
        if values["project"] not in projects:
            self.fail(f"build `{name}`: project `{values['project']}` is not in `projects`", name)
        if values["platform"] != "any" and not values.get("torch_headers"):
            self.fail(f"build `{name}` compiles, but names no `torch_headers`", name)
        env = self.strings(values.pop("env", {}), f"env of build {name}")
        labels = self.labels(values.pop("labels", [""]), name)
        archs, ptx = (tuple(self.texts(values.pop(key, []), key, name)) for key in ("archs", "ptx"))
        proof = self.proof(values.pop("proof", "ci"), name)
        texts = {key: self.text_of(value, key, name) for key, value in values.items() if value is not None}
        source = (self.path.parent / projects[texts["project"]]).resolve()
        return BuildCell(source=source, env=env, labels=labels, archs=archs, ptx=ptx, proof=proof, **texts)

    def labels(self, value: object, name: str) -> tuple[str, ...]:
        labels = tuple(self.texts(value, "labels", name))
        for label in labels:
            if not re.fullmatch(r"(?:[a-z0-9]+(?:\.[a-z0-9]+)*)?", label) or labels.count(label) > 1:
                self.fail(f"`labels` of `{name}` has `{label}`: small letters, digits and dots, each label once", name)
        return labels or ("",)

    def verify(self, item: object, builds: Mapping[str, BuildCell]) -> Iterator[VerifyCell]:
        allowed = {"build", "torch", "python", "runner", "torch_build", "proof"}
        values = self.table(item, "a verify entry", allowed, {"build", "torch", "python", "runner"})
        build = builds.get(str(values["build"]))
        if build is None:
            self.fail(f"verify names the build `{values['build']}`, which is not in `builds`", str(values["build"]))
        torches, pythons = (list(self.texts(values[key], key, build.name)) for key in ("torch", "python"))
        torch_build = str(values.get("torch_build") or "cpu")
        own = "" if torch_build == "cpu" else f"+{torch_build}"
        for torch, python in itertools.product(torches, pythons):
            yield VerifyCell(
                name=f"{build.name}-torch{torch}{own}-py{python}",
                build=build.name,
                project=build.project,
                torch=torch,
                python=python,
                runner=str(values["runner"]),
                backend=build.backend,
                torch_build=torch_build,
                platform=build.platform,
                source=build.source,
                proof=self.proof(values.get("proof", "ci"), build.name),
            )

    def proof(self, value: object, name: str) -> Proof:
        if value not in ("local", "ci"):
            self.fail(f"`proof` of `{name}` is `{value}`: it is local or ci", name)
        return "local" if value == "local" else "ci"

    def table(self, value: object, what: str, allowed: set[str], required: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(f"{what} must be a table of keys and values, not {type(value).__name__}")
        for key in value:
            if key not in allowed:
                near = nearest(str(key), allowed)
                self.fail(f"{what} has the unknown key `{key}`", str(key), f"did you mean `{near[0]}`?" if near else "")
        if missing := sorted(required - value.keys()):
            self.fail(f"{what} lacks `{missing[0]}`", str(value.get("name") or value.get("build") or ""))
        return dict(value)

    def items(self, value: object, what: str) -> list[object]:
        if not isinstance(value, list):
            self.fail(f"`{what}` must be a list", what)
        return value

    def strings(self, value: object, what: str) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(x, str) for pair in value.items() for x in pair):
            self.fail(f"`{what}` must map text to text", what.split()[0])
        return dict(value)

    def texts(self, value: object, key: str, name: str) -> Iterator[str]:
        for item in self.items(value, key):
            yield self.text_of(item, key, name)

    def text_of(self, value: object, key: str, name: str) -> str:
        if not isinstance(value, str):
            self.fail(f'`{key}` of `{name}` must be text: write `"{value}"` in quotes', name)
        return value

    def fail(self, message: str, near_text: str = "", hint: str = "") -> NoReturn:
        line = next((n for n, text in enumerate(self.text.split("\n"), 1) if near_text and near_text in text), None)
        raise ConfigError(
            f"wrong wheels matrix: {message}",
            code="wheels-matrix",
            origin=Origin(file=str(self.path), line=line),
            hints=[hint] if hint else [],
        )
