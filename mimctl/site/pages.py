"""Renders the pages of an index for pip and uv: PEP 503 HTML, PEP 691 JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import quote

from mimctl.site.entry import Entry

API_VERSION = "1.1"


def project_html(project: str, files: Iterable[Entry], to_root: str) -> str:
    """Return a project page (PEP 503, with the attributes of PEP 592 and 714); `to_root` is like `../../`.

    The older name of the attribute for METADATA (PEP 658) is left out: only pip 22.3 to 23.1 reads that one alone, and
    it then refuses a project that was typed or required in another spelling (`mimctl_ops`).
    """
    links = "".join(f"<a {_attributes(file, to_root)}>{escape(file.filename)}</a><br>\n" for file in files)
    return _html(f"Links for {project}", f"<h1>Links for {escape(project)}</h1>\n{links}")


def project_json(project: str, files: Sequence[Entry], to_root: str) -> str:
    """Return a project page as JSON (PEP 691, with `size` and `versions` of PEP 700)."""
    data = {
        "meta": {"api-version": API_VERSION},
        "name": project,
        "versions": list(dict.fromkeys(file.version for file in files)),
        "files": [_json_file(file, to_root) for file in files],
    }
    return to_json(data, many="files")


def projects_html(projects: Iterable[str]) -> str:
    """Return the list of projects (PEP 503)."""
    links = "".join(f'<a href="{quote(name)}/">{escape(name)}</a><br>\n' for name in projects)
    return _html("Simple index", links)


def projects_json(projects: Iterable[str]) -> str:
    """Return the list of projects as JSON (PEP 691)."""
    return to_json({"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in projects]})


def to_json(data: Mapping[str, object], *, many: str | None = None) -> str:
    """Return data as JSON text with sorted keys and a final newline.

    The list under the key `many` gets one line an element: thousands are written in milliseconds (an indented document
    is not), and still make a readable diff.
    """
    head = {key: value for key, value in data.items() if key != many}
    if many is None:
        return json.dumps(head, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    each = data[many]
    assert isinstance(each, list)
    lines = ",\n".join(json.dumps(element, sort_keys=True, ensure_ascii=False) for element in each)
    start = json.dumps(head, sort_keys=True, ensure_ascii=False).removesuffix("}")
    return f'{start}, "{many}": [\n{lines}\n]}}\n'


def _attributes(file: Entry, to_root: str) -> str:
    attributes = {
        "href": f"{to_root}{file.url}#sha256={file.sha256}",
        "data-core-metadata": f"sha256={file.metadata_sha256}",
    }
    if file.requires_python is not None:
        attributes["data-requires-python"] = file.requires_python
    if file.yanked is not None:
        attributes["data-yanked"] = file.yanked
    return " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items())


def _json_file(file: Entry, to_root: str) -> dict[str, object]:
    data: dict[str, object] = {
        "filename": file.filename,
        "url": f"{to_root}{file.url}",
        "hashes": {"sha256": file.sha256},
        "core-metadata": {"sha256": file.metadata_sha256},
        "size": file.size,
        "yanked": file.yanked is not None and (file.yanked or True),
    }
    if file.requires_python is not None:
        data["requires-python"] = file.requires_python
    return data


def _html(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f"<title>{escape(title)}</title>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
