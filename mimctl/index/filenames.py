"""What the names of wheels and source distributions say: project, version, tags; quick, for pages of many thousands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

OWN = "mimctl"
"""Our own distributions bear this name, or one that begins with it and a hyphen."""

_SEPARATORS = re.compile(r"[-_.]+")
_PLAIN_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PLAIN_VERSION = re.compile(
    r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*((a|b|rc)(0|[1-9]\d*))?(\.post(0|[1-9]\d*))?(\.dev(0|[1-9]\d*))?"
    r"(\+[a-z0-9]*[a-z][a-z0-9]*)?"
)
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,250}")
_BUILD_NUMBER = re.compile(r"\d[A-Za-z0-9_.]{0,100}")
_MOST_TAGS = 200
"""Tags that one name stands for: real ones have a dozen."""
SDIST_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def normalise(name: str) -> str:
    """Return the normalised form of a project's name (PEP 503): `Mimctl_Det` → `mimctl-det`."""
    return name if _PLAIN_NAME.fullmatch(name) else _SEPARATORS.sub("-", name).lower().strip("-")


def is_own(name: str) -> bool:
    """Return whether a normalised name is one of ours: such names are looked up in mimctl's indexes only."""
    return name == OWN or name.startswith(f"{OWN}-")


def is_safe(filename: str) -> bool:
    """Return whether a file of this name stays in its folder and can be shown: no separators, no control characters."""
    return _FILENAME.fullmatch(filename) is not None


@dataclass(slots=True)
class NameReader:
    """Reads the names of one project's files; what thousands of names have in common is worked out once."""

    project: str
    """Normalised."""
    _names: dict[str, bool] = field(default_factory=dict)
    _versions: dict[str, str | None] = field(default_factory=dict)
    _tags: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def wheel(self, filename: str) -> tuple[str, tuple[str, ...]] | None:
        """Return version (PEP 440, normalised) and tags (PEP 425), None for what is no wheel (PEP 427) of the
        project, or holds what no name of a wheel does: separators of folders, control characters.
        """
        words = filename.split("-")
        if len(words) == 6:
            if not _BUILD_NUMBER.fullmatch(words[2]):
                return None
        elif len(words) != 5:
            return None
        # The three are mostly known already: a call each would be half of the time that a page takes.
        name, text = words[0], words[1]
        ending = filename[len(name) + len(text) + 2 :] if len(words) == 5 else "-".join(words[3:])
        tags, version, is_ours = self._tags.get(ending), self._versions.get(text), self._names.get(name)
        if tags is None:
            tags = self._expanded(ending)
        if version is None:
            version = self._version(text)
        if is_ours is None:
            is_ours = self._is_ours(name)
        return (version, tags) if version is not None and tags and is_ours else None

    def is_sdist(self, filename: str) -> bool:
        """Return whether a name is that of a source distribution of the project, in old spellings too."""
        ending = next((each for each in SDIST_ENDINGS if filename.endswith(each)), None)
        if ending is None:
            return False
        words = filename.removesuffix(ending).split("-")
        return any(
            self._is_ours("-".join(words[:at])) and self._version("-".join(words[at:])) is not None
            for at in range(1, len(words))
        )

    def _is_ours(self, name: str) -> bool:
        if name not in self._names:
            self._names[name] = normalise(name) == self.project and is_safe(name)
        return self._names[name]

    def _version(self, text: str) -> str | None:
        if text not in self._versions:
            self._versions[text] = _normal_version(text)
        return self._versions[text]

    def _expanded(self, text: str) -> tuple[str, ...]:
        if text not in self._tags:
            found: tuple[str, ...] = ()
            pythons, abis, platforms = (part.split(".") for part in text.removesuffix(".whl").lower().split("-"))
            is_sane = len(pythons) * len(abis) * len(platforms) <= _MOST_TAGS
            if text.endswith(".whl") and is_safe(text) and is_sane:
                found = tuple(f"{python}-{abi}-{each}" for python in pythons for abi in abis for each in platforms)
            self._tags[text] = found
        return self._tags[text]


def _normal_version(text: str) -> str | None:
    """Return a version as PEP 440 writes it, None for what is none."""
    if _PLAIN_VERSION.fullmatch(text):
        return text
    if not is_safe(text):
        return None
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(text))
    except InvalidVersion:
        return None
