"""Writes the table of short names of weights: which address `torchvision://resnet50` and its like stand for.

`python -m mimctl.zoo.gather_names MMENGINE.whl TORCHVISION.whl` writes mimctl/config/weight_names.json. Both wheels are
read as data, nothing of them is imported.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.config.weight_names import FILE, SCHEMA_VERSION

_TABLES = {"torchvision": "torchvision_0.12.json", "open-mmlab": "openmmlab.json", "mmcls": "mmcls.json"}
_MODULE = re.compile(r"torchvision/models/[a-z]\w*\.py")
_LONGER = re.compile(r"-([0-9a-f]{9,10})\.pth$")
_MISNAMED = {
    f"https://download.pytorch.org/models/efficientnet_{name}.pth": sha256
    for name, sha256 in (
        ("b0_rwightman-3dd342df", "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934"),
        ("b2_rwightman-bcdf34b7", "c35c147384e385a5bab5a8eabdabbe5a3df0487ee4a554108626ae474a5bf755"),
        ("b3_rwightman-cf984f9c", "b3899882250c22946d0229d266049fcd133c169233530b36b9ffa7983988362f"),
        ("b4_rwightman-7eb33cd5", "23ab8bcd5bdbef61a7a43b91adcad81f622fd7f36fb4935a569828d77888c44e"),
        ("b5_lukemelas-b6417697", "1a07897c0d357db7981640f6be44a63420f11deb932344a69768b62ebe272946"),
        ("b6_lukemelas-c76e70fd", "24a108a596a00ad522bdfb9a2d98a9bd31819dfd7e37dd96bad6bb5bc00d6015"),
        ("b7_lukemelas-dcc49843", "c5b4e57e0da1a10bb4f8a5b410dd3b7b6e7461f9b757209be29409707c3d87dd"),
    )
}
"""Files whose names carry the hash of other bytes, with the hash of their own (pytorch/vision, issue 7744)."""


def gather(mmengine: Path, torchvision: Path) -> dict[str, Any]:
    """Return the table: MMEngine's lists of names, and the names that it makes of torchvision's weights."""
    with zipfile.ZipFile(mmengine) as archive:
        names = {scheme: _listed(archive.read(f"mmengine/hub/{file}")) for scheme, file in _TABLES.items()}
        renamed = json.loads(archive.read("mmengine/hub/deprecated.json"))
    with zipfile.ZipFile(torchvision) as archive:
        modules = [archive.read(name).decode() for name in archive.namelist() if _MODULE.fullmatch(name)]
    for source in modules:
        names["torchvision"].update(_names_of(ast.parse(source)))
    addresses = sorted({url for table in names.values() for url in table.values()})
    return {
        "schema_version": SCHEMA_VERSION,
        "sources": [_release(mmengine), _release(torchvision)],
        "names": names,
        "renamed": {"open-mmlab": renamed},
        "hashes": _hashes(addresses),
    }


def to_text(table: Mapping[str, Any]) -> str:
    """Return the table as it is stored, one name a line."""
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def _listed(text: bytes) -> dict[str, str]:
    """Return name → address of a list of MMEngine; some models of torchvision have no weights."""
    return {name: url for name, url in json.loads(text).items() if url}


def _names_of(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (name, address) of the weights of a module of torchvision: `resnet50.imagenet1k_v1`, `resnet50.default`."""
    for statement in module.body:
        if not isinstance(statement, ast.ClassDef) or not statement.name.endswith("_Weights"):
            continue
        model = statement.name.removesuffix("_Weights").lower()
        urls: dict[str, str] = {}
        for line in statement.body:
            if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
                continue
            name = line.targets[0].id
            if isinstance(line.value, ast.Name):
                urls[name] = urls[line.value.id]
            elif isinstance(line.value, ast.Call):
                url = next(each.value for each in line.value.keywords if each.arg == "url")
                urls[name] = ast.literal_eval(url)
        if "DEFAULT" in urls:
            yield from ((f"{model}.{name.lower()}", url) for name, url in urls.items())


def _hashes(addresses: Iterable[str]) -> dict[str, str]:
    """Return address → digits of the hash, where `digits_in_name` finds none or the name carries wrong ones."""
    longer = {url: found[1] for url in addresses if (found := _LONGER.search(url))}
    return dict(sorted({**longer, **_MISNAMED}.items()))


def _release(wheel: Path) -> str:
    project, version = wheel.name.split("-")[:2]
    return f"{project}=={version}"


def main(arguments: list[str]) -> int:
    """Write the table from the two wheels that are named."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m mimctl.zoo.gather_names MMENGINE.whl TORCHVISION.whl\n")
        return 2
    table = gather(Path(arguments[0]), Path(arguments[1]))
    FILE.write_text(to_text(table), encoding="utf-8")
    sys.stdout.write(f"{FILE}: {sum(map(len, table['names'].values()))} names\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
