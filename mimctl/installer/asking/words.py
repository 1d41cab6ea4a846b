"""What a word of `install` is: a name with a requirement on its version, or a place (pure but for a look at paths)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from mimctl.errors import Origin, UsageError
from mimctl.transfer import is_remote, redact

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Kind = Literal["wheel", "archive", "folder", "repository"]

ARCHIVES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
_SCHEMES = frozenset({"git+https", "git+http", "git+ssh", "git+file", "git+git"})
_OTHER_SYSTEMS = ("hg+", "svn+", "bzr+")
_EXTRAS = re.compile(r"(?P<place>.*?)\s*\[(?P<extras>[\w.,\s-]+)\]$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A name, with what it requires of its version."""

    requirement: Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A place: a wheel, a source archive, a project's folder, a repository."""

    kind: Kind
    address: str
    """A path, or an address without its fragment; for a repository without `git+` and the revision."""
    extras: frozenset[str] = frozenset()
    sha256: str | None = None
    revision: str | None = None
    subdirectory: str | None = None
    name: str | None = None
    """What it must turn out to be, where that was said (`NAME @ ADDRESS`, `#egg=NAME`)."""

    @property
    def shown(self) -> str:
        """Return the place as a message shows it, without secrets."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{'git+' if self.kind == 'repository' else ''}{redact(self.address)}{revision}"


def parse_word(word: str, origin: Origin | None = None) -> Named | Placed:
    """Return what a word names; raise UsageError where it is neither a name nor a place that can be installed from."""
    from packaging.requirements import InvalidRequirement, Requirement

    if looks_like_place(word):
        return _placed(word, origin, name=None, extras=frozenset())
    try:
        requirement = Requirement(word)
    except InvalidRequirement as err:
        raise UsageError(
            f"`{redact(word)}` is not a name of something to install",
            causes=[str(err).splitlines()[0]],
            hints=["for example: `mimctl install det`, `mimctl install ./folder`"],
            origin=origin,
        ) from err
    if requirement.url is None:
        return Named(requirement=requirement)
    return _placed(requirement.url, origin, name=requirement.name, extras=frozenset(requirement.extras))


def looks_like_place(word: str) -> bool:
    """Return whether a word is a path or an address, as pip sees it: a bare word is a name, though a folder of that
    name be there."""
    head = _EXTRAS.sub(r"\g<place>", word)
    scheme = word.partition(":")[0]
    if " @ " in word:
        return False
    return (
        "://" in word
        or scheme == "file"
        or head in (".", "..", "~")
        or head.startswith(("./", "../", "/", "~/", ".\\", "..\\"))
        or (("/" in head or "\\" in head) and not any(sign in head for sign in "<>=!~;"))
        or head.lower().endswith((".whl", *ARCHIVES))
    )


def _placed(text: str, origin: Origin | None, *, name: str | None, extras: frozenset[str]) -> Placed:
    found = _EXTRAS.match(text)
    if found is not None and name is None and not (("://" in text) and "#" in found["place"]):
        text, extras = found["place"], frozenset(each.strip() for each in found["extras"].split(","))
    if text.startswith(_OTHER_SYSTEMS):
        raise _unusable(text, "of the version control systems only git is known", origin)
    if "://" not in text and not text.startswith("file:"):
        return _local(text, origin, name, extras, sha256=None, subdirectory=None)
    parts = urlsplit(text)
    fragment = {key: values[-1] for key, values in parse_qs(parts.fragment).items()}
    sha256 = _sha256(fragment, text, origin)
    name = name or (fragment["egg"].partition("[")[0] if "egg" in fragment else None)
    subdirectory = _subdirectory(fragment.get("subdirectory"), text, origin)
    if "[" in fragment.get("egg", ""):
        extras = frozenset(each.strip() for each in fragment["egg"].partition("[")[2].rstrip("]").split(","))
    plain = urlunsplit((*parts[:4], ""))
    if parts.scheme.startswith("git"):
        return _repository(plain, origin, name, extras, subdirectory)
    if parts.scheme == "file":
        return _local(unquote(parts.path), origin, name, extras, sha256=sha256, subdirectory=subdirectory)
    if not is_remote(plain):
        raise _unusable(text, f"`{parts.scheme}` is not one of https, http, file, git+https, git+ssh", origin)
    kind = _kind_of_file(parts.path)
    if kind is None:
        raise _unusable(text, "it names neither a wheel nor a source archive", origin)
    return Placed(kind=kind, address=plain, extras=extras, sha256=sha256, subdirectory=subdirectory, name=name)


def _repository(
    text: str, origin: Origin | None, name: str | None, extras: frozenset[str], subdirectory: str | None
) -> Placed:
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES:
        raise _unusable(text, "write `git+https://host/path@revision`", origin)
    path, at, revision = parts.path.rpartition("@")
    path = path if at else parts.path
    if at and (not revision or revision.startswith("-")):
        raise _unusable(text, "there is no revision behind the `@`", origin)
    address = urlunsplit((parts.scheme.removeprefix("git+"), parts.netloc, path, parts.query, ""))
    return Placed(
        kind="repository",
        address=address,
        extras=extras,
        revision=revision if at else None,
        subdirectory=subdirectory,
        name=name,
    )


def _local(
    path: str,
    origin: Origin | None,
    name: str | None,
    extras: frozenset[str],
    *,
    sha256: str | None,
    subdirectory: str | None,
) -> Placed:
    place = Path(path).expanduser().absolute()
    kind: Kind | None = "folder" if place.is_dir() else _kind_of_file(place.name)
    if kind is None or not place.exists():
        causes = (
            ["there is no such file or folder"] if not place.exists() else ["it is no wheel, source archive or folder"]
        )
        raise UsageError(f"nothing to install at `{path}`", code="no-such-place", causes=causes, origin=origin)
    return Placed(kind=kind, address=str(place), extras=extras, sha256=sha256, subdirectory=subdirectory, name=name)


def _kind_of_file(path: str) -> Kind | None:
    lower = unquote(path).lower()
    return "wheel" if lower.endswith(".whl") else "archive" if lower.endswith(ARCHIVES) else None


def _sha256(fragment: dict[str, str], text: str, origin: Origin | None) -> str | None:
    other = next((key for key in fragment if key in ("md5", "sha1", "sha224", "sha384", "sha512")), None)
    if other is not None and "sha256" not in fragment:
        raise _unusable(text, f"only sha256 hashes can be checked, it names a {other}", origin)
    digest = fragment.get("sha256")
    if digest is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise _unusable(text, "its sha256 is not 64 hexadecimal digits", origin)
    return digest.lower() if digest else None


def _subdirectory(value: str | None, text: str, origin: Origin | None) -> str | None:
    if value is None:
        return None
    path = Path(value)
    if path.is_absolute() or ".." in path.parts:
        raise _unusable(text, f"its subdirectory `{value}` leads out of it", origin)
    return value.strip("/")


def _unusable(text: str, cause: str, origin: Origin | None) -> UsageError:
    return UsageError(f"cannot install from `{redact(text)}`", code="bad-url", causes=[cause], origin=origin)
