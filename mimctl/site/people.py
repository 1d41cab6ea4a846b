"""The pages of an index for people: how to install, its wheels, its models; they work from a folder as from a server.

The pages are plain HTML with scripts of our own (`static/`). Browsers let pages of files fetch nothing, so data come as
scripts too; whatever they hold becomes text, never HTML.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mimctl.site.entry import Entry

STATIC = Path(__file__).parent / "static"
ASSETS = ("style.css", "common.js", "select.js", "zoo.js", "model.js")
PAGES = ("zoo.html", "model.html")


def start_page(*, toolboxes: Mapping[str, Mapping[str, Any]], files: Sequence[Entry], zoos: Mapping[str, int]) -> str:
    """Return the first page: a form that says what to type, the toolboxes, the builds of the operators, all wheels."""
    held = {file.project for file in files}
    names = sorted(toolboxes, key=lambda name: (str(toolboxes[name].get("distribution")) not in held, name))
    install = next(iter(names), "det")
    body = [
        "<h1>From a bare machine to a trained vision model</h1>",
        '<form id="choose" aria-label="What to install"></form>',
        '<p id="operators" role="status"></p>',
        f'<div class="commands" id="commands"><pre><code>{_commands(install)}</code></pre></div>',
        f"<h2>Toolboxes</h2>{_toolboxes(toolboxes, zoos)}",
        f"<h2>Builds of the operators</h2>{_builds(files)}",
        f"<h2>Wheels</h2>{_wheels(files)}",
        '<p>For programs: <a href="index.json">index.json</a>, <a href="toolboxes.json">toolboxes.json</a>, ',
        '<a href="simple/">simple/</a></p>',
    ]
    return (STATIC / "index.html").read_text(encoding="utf-8").replace("<!-- BODY -->", "\n".join(body))


def index_data(
    toolboxes: Mapping[str, Mapping[str, Any]], files: Iterable[Entry], num_models: Mapping[str, int]
) -> str:
    """Return the script that tells the pages what the index holds."""
    kept = [
        {"filename": file.filename, "tags": list(file.tags), "yanked": file.yanked, "build": _build(file)}
        for file in files
    ]
    return _script("window.mimctlIndex", {"toolboxes": toolboxes, "files": kept, "models": num_models})


def zoo_data(plugin: str, document: Mapping[str, Any]) -> str:
    """Return the script that holds the models of one toolbox."""
    kept = {key: document.get(key) or {} for key in ("collections",)} | {"models": document["models"]}
    return "window.mimctlZoo ??= {};\n" + _script(f"window.mimctlZoo[{json.dumps(plugin)}]", kept)


def _script(name: str, data: object) -> str:
    # ASCII alone, and no `<`: nothing in it ends a script, wherever it is put.
    text = json.dumps(data, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
    return f"{name} = {text};\n"


def _commands(install: str) -> str:
    return (
        "pip install --extra-index-url ADDRESS/simple mimctl\n"
        "mimctl settings set index ADDRESS\n"
        f"mimctl install {escape(install)}\n"
    )


def _toolboxes(toolboxes: Mapping[str, Mapping[str, Any]], zoos: Mapping[str, int]) -> str:
    rows = [
        (
            f"<code>mimctl install {escape(name)}</code>",
            escape(str(box["summary"])),
            f'<a href="zoo.html#toolbox={escape(name)}">{zoos[name]} models</a>' if zoos.get(name) else "no models",
        )
        for name, box in sorted(toolboxes.items())
    ]
    others = [
        (f"{escape(name)}: no toolbox yet", "", f'<a href="zoo.html#toolbox={escape(name)}">{number} models</a>')
        for name, number in sorted(zoos.items())
        if name not in toolboxes
    ]
    return _table(("What to type", "What for", "Models"), [*rows, *others])


def _builds(files: Iterable[Entry]) -> str:
    rows = [
        (
            escape(file.version),
            escape(str(build["backend"])),
            escape(", ".join(tag.rpartition("-")[2] for tag in file.tags)),
            escape(f">= {build['min_torch']}" if build.get("min_torch") else "any"),
            escape(f">= {build['min_driver']}" if build.get("min_driver") else ""),
            escape(", ".join(map(str, (*build.get("archs", ()), *(f"{each}+PTX" for each in build.get("ptx", ())))))),
            escape(_verified(file)),
        )
        for file in files
        if (build := _build(file)) is not None
    ]
    head = ("Version", "Build", "Platform", "torch", "NVIDIA driver", "GPU architectures", "Proved by its libraries")
    return _table(head, rows) if rows else "<p>This index holds no operators.</p>"


def _verified(file: Entry) -> str:
    audit = file.to_dict().get("audit")
    if not isinstance(audit, Mapping):
        return "pure Python"
    machines = sorted({str(each["machine"]) for each in audit["libraries"]})
    return f"{', '.join(machines)}, C library >= {audit['glibc']}"


def _wheels(files: Iterable[Entry]) -> str:
    rows = [
        (
            f'<a href="{escape(file.url)}">{escape(file.filename)}</a>',
            f"{file.size / 1000:.1f} kB",
            f"<code>{escape(file.sha256[:16])}…</code>",
            "" if file.yanked is None else escape(f"withdrawn: {file.yanked}".rstrip(": ")),
        )
        for file in files
    ]
    return _table(("Wheel", "Size", "sha256", ""), rows)


def _build(file: Entry) -> Mapping[str, Any] | None:
    build = file.to_dict().get("build")
    return build if isinstance(build, Mapping) else None


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML already."""
    cells = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
