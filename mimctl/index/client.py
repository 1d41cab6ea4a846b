"""Fetch what indexes say and the files they hold: several addresses in order, cached, offline from the cache.

What reads lists of wheels is imported where one is read, what fetches where something is fetched: a search among the
models of a folder needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.errors import MimctlError, NetworkError, UsageError
from mimctl.index.fields import bad_index, parse_json
from mimctl.transfer import is_remote, redact

if TYPE_CHECKING:
    from mimctl.index.document import IndexDocument
    from mimctl.index.model import Index, IndexFile, Toolbox
    from mimctl.transfer import Progress, TransferSettings

_MAX_SIZE = 256 << 20
"""Bytes of a document: 100,000 wheels take 70 MB."""
_HEAD = 4096
_FIT_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class IndexClient:
    """Reads the given indexes; an address is a folder, a `file://` or an http(s) address of the site root.

    Documents are asked for once in the life of a client and kept in `cache_dir` with their ETag. With
    `offline` (or `transfer.offline`) an http index is read from the cache only. `transfer` may be a function that says
    how to fetch, called once something is fetched; `offline` is given beside it then.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        transfer: TransferSettings | Callable[[], TransferSettings] | None = None,
        cache_dir: Path = Path(),
        offline: bool = False,
    ) -> None:
        self.addresses = tuple(dict.fromkeys(_root(address) for address in addresses))
        self._transfer = transfer
        self._offline = offline or (transfer is not None and not callable(transfer) and transfer.offline)
        self._documents_dir = cache_dir / "index"
        self._wheels_dir = cache_dir / "wheels"
        self._documents: dict[str, Any] = {}
        self._roots: dict[str, str | None] = {}
        self._listings: dict[str, IndexDocument | None] = {}

    @cached_property
    def _settings(self) -> TransferSettings:
        from mimctl.transfer import TransferSettings

        if callable(self._transfer):
            return self._transfer()
        return self._transfer or TransferSettings(offline=self._offline)

    def load(self) -> Index:
        """Return what all indexes say together.

        Raises UsageError[no-index] where none is named, NetworkError[offline | network] where one cannot be reached,
        MimctlError[not-an-index | bad-index | index-version] where it does not hold an index.
        """
        from mimctl.index.document import parse_torch
        from mimctl.index.model import Index, Listing, TorchVersions

        if not self.addresses:
            raise no_index()
        documents = [document for each in self.addresses if (document := self._listing(each)) is not None]
        said = [parse_torch(document.top, address="the index") for document in documents]
        torch = next((each for each in said if each.verified), TorchVersions())
        return Index(
            addresses=self.addresses,
            plain=tuple(each for each in self.addresses if self.plain_root(each) is not None),
            files=Listing([each.projects for each in documents], sum(each.num_files for each in documents)),
            torch_verified=torch.verified,
            torch_default=torch.default,
            toolboxes=self.toolboxes(),
        )

    def project(self, address: str, name: str) -> tuple[IndexFile, ...] | None:
        """Return the files of a project in the `index.json` at `address`, None where that lists none (errors as
        `load`)."""
        document = self._listing(address)
        read = None if document is None else document.projects.get(name)
        return None if read is None else read()

    def plain_root(self, address: str) -> str | None:
        """Return where the project pages are of an index that has no `index.json` of ours, None where it has one.

        That is the address itself if it ends in `/simple` or holds a list of projects (PEP 503, 691), or `simple/`
        below it. Raises MimctlError[not-an-index] where there is nothing of the kind.
        """
        self._listing(address)
        return self._roots[address]

    def toolboxes(self) -> dict[str, Toolbox]:
        """Return the toolboxes of all indexes by name; an earlier index wins."""
        from mimctl.index.document import parse_toolboxes

        found: dict[str, Toolbox] = {}
        for address in self.addresses:
            data = self._document(address, "toolboxes.json")
            if data is not None:
                found = {**parse_toolboxes(data, address=redact(address)), **found}
        return found

    def catalogues(self) -> set[str]:
        """Return the names of the zoos of all indexes, also of toolboxes that none of them has."""
        found: set[str] = set()
        for address in self.addresses:
            data = self._document(address, "toolboxes.json")
            models = data.get("models") if isinstance(data, dict) else None
            found |= set(filter(_FIT_NAME.fullmatch, map(str, models))) if isinstance(models, dict) else set()
        return found

    def verified(self) -> Any:
        """Return the `verified.json` of the first index (which tests its wheels passed), None where it has none."""
        return self._document(self.addresses[0], "verified.json")

    def zoo(self, plugin: str) -> dict[str, Any]:
        """Return the plugin's `zoo/<plugin>.json` with the models of all indexes, an earlier index first.

        Each model gets the key `address`: the root of its index, which its `weights.file` is relative to.
        Raises UsageError[no-index] where none is named, and what `load` raises of transfers.
        """
        if not self.addresses:
            raise no_index()
        models: list[dict[str, Any]] = []
        collections: dict[str, Any] = {}
        for address in self.addresses:
            data = self._document(address, f"zoo/{plugin}.json")
            if data is None:
                continue
            if not isinstance(data, dict) or not isinstance(data.get("models"), list):
                raise bad_index(redact(address), f"`zoo/{plugin}.json` holds no models")
            read = [model for model in data["models"] if isinstance(model, dict)]
            for model in read:
                model["address"] = address
            models += read
            stated = data.get("collections")
            collections = {**(stated if isinstance(stated, dict) else {}), **collections}
        if not models:
            self.load()  # says so where an address holds no index at all
        head = {"schema_version": 1, "plugin": plugin, **({"collections": collections} if collections else {})}
        return {**head, "models": models}

    def fetch(self, file: IndexFile, *, progress: Progress | None = None) -> Path:
        """Return a verified copy of `file` in the cache.

        Raises IntegrityError[hash-mismatch] with both hashes, [length-mismatch] where the server sends more or less
        than the index says, and what `transfer.download` raises.
        """
        from mimctl.transfer import download

        dest = self._wheels_dir / (file.sha256 or "unhashed") / file.filename
        return download(
            file.url,
            dest,
            sha256=file.sha256,
            size=file.size,
            settings=self._settings,
            progress=progress,
            named_by=file.address,
        )

    def file_address(self, address: str, relative: str) -> str:
        """Return the whole address of a file that an index names by its path from the root."""
        return _join(address, relative)

    def _listing(self, address: str) -> IndexDocument | None:
        """Return the `index.json` of an index of ours, None where it is a plain one."""
        if address not in self._roots:
            self._listings[address], self._roots[address] = self._look(address)
        return self._listings[address]

    def _look(self, address: str) -> tuple[IndexDocument | None, str | None]:
        from mimctl.index.document import check_schema, read_document

        if address.endswith("/simple"):
            return None, address
        body = self._body(_join(address, "index.json"))
        if body is not None:
            document = read_document(body, address=address)
            if "projects" in document.top and "meta" in document.top:
                return None, address
            check_schema(document.top, redact(address))
            return document, None
        for root in (_join(address, "simple"), address):
            page = self._body(_join(root, "index.html" if not is_remote(root) else ""))
            if page is not None and (root != address or b"pypi:repository-version" in page[:_HEAD]):
                return None, root
        raise _not_an_index(address)

    def _document(self, address: str, name: str) -> Any:
        """Return a JSON document of an index, None where the index has none of that name."""
        url = _join(address, name)
        if url not in self._documents:
            body = self._body(url)
            self._documents[url] = None if body is None else parse_json(body, redact(url))
        return self._documents[url]

    def _body(self, url: str) -> bytes | None:
        if not is_remote(url):
            from mimctl.transfer.local import read_local

            answer = read_local(url, etag=None, is_missing_ok=True, max_size=_MAX_SIZE)
            return None if answer.status == 404 else answer.body
        from mimctl.index.cache import DocumentCache, Kept

        cache = DocumentCache(self._documents_dir)
        kept = cache.read(url)
        if self._offline:
            if kept is None:
                raise not_cached(url)
            return kept.body
        from mimctl.transfer import get_bytes

        etag = kept.etag if kept else None
        answer = get_bytes(
            url, etag=etag, settings=self._settings, is_missing_ok=True, max_size=_MAX_SIZE, may_be_packed=True
        )
        if answer.status == 304 and kept is not None:
            return kept.body
        body = None if answer.status == 404 else answer.body
        cache.write(url, Kept(body=body, etag=answer.etag))
        return body


def no_index() -> UsageError:
    """Return the error for a request that needs an index where none is named."""
    return UsageError(
        "no index is named",
        code="no-index",
        causes=["neither `--index`, `MIMCTL_INDEX_URL` nor a setting `index` says where wheels and models are"],
        hints=[
            "name one: `mimctl settings set index ADDRESS` (a URL or a folder)",
            "or build one: `mimctl index build --wheels DIR --out DIR`",
        ],
    )


def _root(address: str) -> str:
    """Return an address without `index.json` and without a final slash; a folder as an absolute path."""
    text = address.strip().removesuffix("/index.json").rstrip("/") or "/"
    if "://" in text:
        return text
    return str(Path(text).expanduser().absolute())


def _join(address: str, relative: str) -> str:
    return f"{address}/{relative}"


def _not_an_index(address: str) -> MimctlError:
    place = redact(address)
    return MimctlError(
        f"no mimctl index at `{place}`",
        code="not-an-index",
        causes=[f"there is no `index.json` in `{place}`, and no page of a package index"],
        hints=["name the folder or address that holds `index.json`: `--index ADDRESS`"],
    )


def not_cached(url: str) -> NetworkError:
    """Return the error for a document that is needed while offline."""
    return NetworkError(
        f"`{redact(url)}` is not in the cache",
        code="offline",
        causes=["offline was asked for, and it was never fetched before"],
        hints=["repeat without `--offline`", "or name an index in a folder: `--index DIR`"],
    )
