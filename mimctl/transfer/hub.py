"""Addresses of the Hugging Face Hub: `hf://owner/repo/path[@revision]`, the https address behind it, and the token."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from mimctl.errors import UsageError
from mimctl.transfer.address import redact

SCHEME = "hf"
_KINDS = ("datasets", "spaces")
_NAME = re.compile(r"[\w][\w.-]*", re.ASCII)
_LONG_REVISION = re.compile(r"(refs/(?:pr|convert)/[^/]+)/")
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPlace:
    """A file of a repository on the Hub."""

    kind: str
    """Empty for models, `datasets` or `spaces`."""
    repo: str
    """`owner/name`."""
    path: str
    revision: str = "main"
    """Branch, tag or commit."""

    @property
    def url(self) -> str:
        """Return the https address: <endpoint>/owner/name/resolve/<revision>/<path>."""
        repo = f"{self.kind}/{self.repo}" if self.kind else self.repo
        return f"{endpoint()}/{repo}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


def is_hub(url: str) -> bool:
    """Return whether an address is one of the Hub's (`hf://`)."""
    return url[:5].lower() == f"{SCHEME}://"


def find_place(url: str) -> HubPlace:
    """Return what `hf://[datasets/]owner/repo/path[@revision]` names; raise UsageError[bad-url].

    The revision may stand behind the repository too, as the Hub's own library has it (`hf://owner/repo@v1/path`). An
    `@` of a file's name is written `%40`.
    """
    words = url[5:].partition("?")[0].split("/")
    kind = words.pop(0) if words[0] in _KINDS else ""
    owner, name, path = words[0], "".join(words[1:2]), "/".join(words[2:])
    name, has_early, revision = name.partition("@")
    if has_early:
        found = _LONG_REVISION.match(f"{revision}/{path}")
        if found is not None:
            revision, path = found[1], f"{revision}/{path}"[found.end() :]
    else:
        path, has_late, revision = path.partition("@")
        revision = revision if has_late else "main"
    path, revision = unquote(path), unquote(revision)
    is_right = _NAME.fullmatch(owner) and _NAME.fullmatch(name) and path and revision
    if not is_right or not f"{path}{revision}".isprintable() or {"", ".", ".."} & set(f"{path}/{revision}".split("/")):
        raise UsageError(
            f"`{redact(url)}` is no address of the Hugging Face Hub",
            code="bad-url",
            hints=["an address looks like `hf://owner/repo/folder/file.pth`, or `hf://owner/repo/file.pth@revision`"],
        )
    return HubPlace(kind=kind, repo=f"{owner}/{name}", path=path, revision=revision)


def endpoint() -> str:
    """Return the root of the Hub, or of what stands for it (`HF_ENDPOINT`)."""
    from mimctl.settings import HUB

    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def token() -> str | None:
    """Return the token of this user, from where the Hub's own tools keep it; None without one.

    In this order: `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, `token` in `HF_HOME` (by itself
    `~/.cache/huggingface`). None with `HF_HUB_DISABLE_IMPLICIT_TOKEN`, too.
    """
    environ = os.environ
    if environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").lower() in ("1", "true", "yes", "on"):
        return None
    given = (environ.get("HF_TOKEN"), environ.get("HUGGING_FACE_HUB_TOKEN"), _kept_token(environ))
    stripped = [(each or "").strip() for each in given]
    return next((each for each in stripped if _TOKEN.fullmatch(each)), None)


def _kept_token(environ: Mapping[str, str]) -> str | None:
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    path = os.path.expanduser(environ.get("HF_TOKEN_PATH") or f"{home}/token")  # noqa: PTH111 - no home is no error
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
