"""Reads an index that is published already, to build a new one that holds its files too; trusts no byte of it."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from mimctl.errors import ConfigError
from mimctl.index.client import IndexClient
from mimctl.index.fields import bad_index
from mimctl.index.model import IndexFile, TorchVersions
from mimctl.site.entry import check_filename
from mimctl.site.sources import ZOO_FILES, Zoo
from mimctl.site.verified import Verified, parse_verified
from mimctl.transfer import (
    TransferSettings,
    download,
    get_bytes,
    is_remote,
    local_path,
    redact,
    sha256_of,
    write_file,
)

MAX_WHEEL_BYTES = 4 << 30
MAX_WEIGHTS_BYTES = 16 << 30
MAX_CONFIG_BYTES = 4 << 20
FileProgress = Callable[[str, int, int | None], None]
"""Called with the name of a file, its bytes done and its bytes in all."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What one published index holds, and who fetches its files."""

    shown: str
    """Its address without secrets."""
    files: tuple[IndexFile, ...]
    torch: TorchVersions
    toolboxes: Mapping[str, Mapping[str, Any]]
    zoos: tuple[Zoo, ...]
    verified: Verified
    client: IndexClient
    progress: FileProgress | None

    def fetch(self, file: IndexFile) -> Path:
        """Return a wheel as a file of this machine; one from the network is verified and kept in the cache.

        Raises IntegrityError[hash-mismatch | length-mismatch] and what `transfer.download` raises.
        """
        if not is_remote(file.url):
            return local_path(file.url)
        tell = self.progress
        report = None if tell is None else (lambda done, total: tell(file.filename, done, total))
        return self.client.fetch(file, progress=report)


@contextmanager
def published(
    addresses: Sequence[str],
    *,
    transfer: TransferSettings | None,
    cache_dir: Path | None,
    progress: FileProgress | None = None,
) -> Iterator[list[Published]]:
    """Read the indexes at `addresses` (folders or URLs); what is fetched lies in `cache_dir`, else for a while only.

    Raises MimctlError[not-an-index | bad-index | bad-zoo | index-version], IntegrityError[bad-wheel] for a name that no
    wheel has, and what transfers raise.
    """
    with tempfile.TemporaryDirectory(prefix="mimctl-index-") as passing:
        place = cache_dir or Path(passing)
        settings = transfer or TransferSettings()
        yield [_read(address, settings, place, progress) for address in dict.fromkeys(addresses)]


def _read(address: str, transfer: TransferSettings, cache_dir: Path, progress: FileProgress | None) -> Published:
    client = IndexClient([address], transfer, cache_dir)
    index = client.load()
    shown = redact(client.addresses[0])
    for file in index.files:
        check_filename(file.filename)
        if file.size is None or not 0 < file.size <= MAX_WHEEL_BYTES:
            raise bad_index(shown, f"`{file.filename}` has the size {file.size}")
    toolboxes = {
        name: {
            "distribution": box.distribution,
            "summary": box.summary,
            "aliases": list(box.aliases),
            "scopes": list(box.scopes),
        }
        for name, box in index.toolboxes.items()
    }
    zoos = [_zoo(client, name, transfer, cache_dir, shown) for name in sorted({*toolboxes, *client.catalogues()})]
    verified = client.verified()
    return Published(
        shown=shown,
        verified={} if verified is None else parse_verified(verified, shown=shown),
        files=tuple(index.files),
        torch=TorchVersions(verified=index.torch_verified, default=index.torch_default),
        toolboxes=toolboxes,
        zoos=tuple(zoo for zoo in zoos if zoo.num_models),
        client=client,
        progress=progress,
    )


def _zoo(client: IndexClient, plugin: str, transfer: TransferSettings, cache_dir: Path, shown: str) -> Zoo:
    from mimctl.zoo.document import parse_zoo

    data = client.zoo(plugin)
    parse_zoo(data, shown=shown)
    models = [{key: value for key, value in model.items() if key != "address"} for model in data["models"]]
    carrier = _Carrier(address=client.addresses[0], transfer=transfer, folder=cache_dir / "site" / "files", shown=shown)
    files: dict[PurePosixPath, Path] = {}
    for model in models:
        carrier.take(model, files)
    document = {**data, "models": models}
    return Zoo(plugin=plugin, document=document, files=tuple(sorted(files.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier:
    """Brings the files that the models of a published index name."""

    address: str
    transfer: TransferSettings
    folder: Path
    shown: str

    def take(self, model: Mapping[str, Any], files: dict[PurePosixPath, Path]) -> None:
        """Fetch weights (verified by their sha256) and config of one model, as far as the index carries them."""
        if model.get("config_file"):
            inside = self._inside(model["config_file"])
            body = get_bytes(self._address(inside), settings=self.transfer, max_size=MAX_CONFIG_BYTES).body
            digest = hashlib.sha256(body).hexdigest()
            files[inside] = write_file(self.folder / digest / inside.name, body)
        for source in _carried(model):
            inside = self._inside(source["file"])
            sha256, size = source.get("sha256"), source.get("size")
            if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
                raise bad_index(self.shown, f"the weights of `{model['name']}` have no valid sha256")
            if not isinstance(size, int) or not 0 < size <= MAX_WEIGHTS_BYTES:
                raise bad_index(self.shown, f"the weights of `{model['name']}` have the size {size}")
            dest = self.folder / sha256 / inside.name
            files[inside] = download(self._address(inside), dest, sha256=sha256, size=size, settings=self.transfer)

    def _inside(self, name: object) -> PurePosixPath:
        inside = PurePosixPath(str(name))
        if not inside.is_relative_to(ZOO_FILES) or ".." in inside.parts or inside == ZOO_FILES:
            raise bad_index(self.shown, f"`{name}` does not lie below {ZOO_FILES}/")
        return inside

    def _address(self, inside: PurePosixPath) -> str:
        return f"{self.address}/{quote(str(inside)) if '://' in self.address else inside}"


def merge_zoos(own: Sequence[Zoo], others: Sequence[Published]) -> list[Zoo]:
    """Return the zoos of all, one a toolbox: an earlier one's model stays where two have one name.

    Raises ConfigError[zoo-source] where two different files have one place in the index.
    """
    merged = {zoo.plugin: zoo for zoo in own}
    for zoo in (zoo for other in others for zoo in other.zoos):
        first = merged.get(zoo.plugin)
        merged[zoo.plugin] = zoo if first is None else _merge(first, zoo)
    return [merged[plugin] for plugin in sorted(merged)]


def _merge(first: Zoo, second: Zoo) -> Zoo:
    names = {model["name"] for model in first.document["models"]}
    more = [model for model in second.document["models"] if model["name"] not in names]
    wanted = {str(value) for model in more for value in _files_of(model)}
    files = dict(first.files)
    for inside, path in second.files:
        if str(inside) not in wanted:
            continue
        known = files.setdefault(inside, path)
        if known != path and sha256_of(known) != sha256_of(path):
            raise ConfigError(
                f"two models have different files at `{inside}`",
                code="zoo-source",
                causes=[str(known), str(path)],
                hints=["rename the new one"],
            )
    collections = {**second.document.get("collections", {}), **first.document.get("collections", {})}
    document = {**first.document, "models": [*first.document["models"], *more]}
    if collections:
        document["collections"] = collections
    return Zoo(plugin=first.plugin, document=document, files=tuple(sorted(files.items())))


def _files_of(model: Mapping[str, Any]) -> Iterator[object]:
    yield model.get("config_file")
    yield from (source["file"] for source in _carried(model))


def _carried(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield those files of a model that an index carries itself: its weights, its log, and further ones."""
    for source in (model.get("weights"), model.get("log"), *(model.get("files") or ())):
        if isinstance(source, Mapping) and source.get("file"):
            yield source
