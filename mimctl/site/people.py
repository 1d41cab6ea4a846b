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
from mimctl.site.verified import Verification, Verified, torches_of

STATIC = Path(__file__).parent / "static"
ASSETS = ("style.css", "common.js", "select.js", "zoo.js", "model.js")
PAGES = ("zoo.html", "model.html")


def start_page(
    *,
    toolboxes: Mapping[str, Mapping[str, Any]],
    files: Sequence[Entry],
    zoos: Mapping[str, int],
    verified: Verified,
) -> str:
    """Return the first page: a form that says what to type, toolboxes, builds of the operators, tests, all wheels."""
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
        f"<h2>What was verified</h2>{_matrix(files, verified)}",
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
        {"filename": file.filename, "tags": list(file.tags), "yanked": file.yanked, "build": file.build}
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
        f"mimctl install {_text(install)}\n"
    )


def _toolboxes(toolboxes: Mapping[str, Mapping[str, Any]], zoos: Mapping[str, int]) -> str:
    rows = [
        (f"<code>mimctl install {_text(name)}</code>", _text(box["summary"]), _models(name, zoos.get(name, 0)))
        for name, box in sorted(toolboxes.items())
    ]
    others = [
        (f"{_text(name)}: no toolbox yet", "", _models(name, number))
        for name, number in sorted(zoos.items())
        if name not in toolboxes
    ]
    return _table(("What to type", "What for", "Models"), [*rows, *others])


def _models(toolbox: str, number: int) -> str:
    return f'<a href="zoo.html#toolbox={_text(toolbox)}">{number} models</a>' if number else "no models"


def _builds(files: Iterable[Entry]) -> str:
    rows = [
        (
            *_name(file, build),
            _text(f">= {build['min_torch']}" if build.get("min_torch") else "any"),
            _text(f">= {build['min_driver']}" if build.get("min_driver") else ""),
            _text(", ".join(map(str, (*build.get("archs", ()), *(f"{each}+PTX" for each in build.get("ptx", ())))))),
            _text(_proved(file.audit)),
        )
        for file in files
        if (build := file.build) is not None
    ]
    head = ("Version", "Build", "Platform", "torch", "NVIDIA driver", "GPU architectures", "Proved by its libraries")
    return _table(head, rows) if rows else "<p>This index holds no operators.</p>"


def _name(file: Entry, build: Mapping[str, Any]) -> tuple[str, str, str]:
    return _text(file.version), _text(build["backend"]), _text(", ".join(tag.rpartition("-")[2] for tag in file.tags))


def _proved(audit: Mapping[str, Any] | None) -> str:
    if audit is None:
        return "pure Python"
    machines = sorted({str(each["machine"]) for each in audit["libraries"]})
    return f"{', '.join(machines)}, C library >= {audit['glibc']}"


def _matrix(files: Iterable[Entry], verified: Verified) -> str:
    """Return the builds of the operators against the versions of torch: how the tests went beside each."""
    ran = [(file, file.build, verified[file.sha256]) for file in files if file.build and file.sha256 in verified]
    if not ran:
        return "<p>No tests of these wheels are recorded; what their libraries prove stands above.</p>"
    torches = torches_of(run for _, _, runs in ran for run in runs)
    rows = [
        (
            *_name(file, build),
            *("<br>".join(_run(run) for run in runs if run.torch == torch) or "not run" for torch in torches),
        )
        for file, build, runs in ran
    ]
    head = ("Version", "Build", "Platform", *(f"torch {each}" for each in torches))
    said = "The project's own tests, run with these very files; each cell names the Python."
    return f"<p>{said}</p>{_table(head, rows)}"


def _run(run: Verification) -> str:
    counts = [f"{number} {word}" for number, word in ((run.passed, "passed"), (run.failed, "failed")) if number]
    words = ", ".join(counts) or "nothing passed"
    mark = "yes" if run.is_good else "no"
    return f'{_text(run.python)}: <span class="{mark}">{words}</span>{"" if run.is_good else " (not verified)"}'


def _wheels(files: Iterable[Entry]) -> str:
    rows = [
        (
            f'<a href="{escape(file.url)}">{_text(file.filename)}</a>',
            f"{file.size / 1000:.1f} kB",
            f"<code>{_text(file.sha256[:16])}…</code>",
            "" if file.yanked is None else _text(f"withdrawn: {file.yanked}".rstrip(": ")),
        )
        for file in files
    ]
    return _table(("Wheel", "Size", "sha256", ""), rows)


def _text(value: object) -> str:
    """Return a text of others as HTML that shows it: no markup, nothing that turns the direction of what follows."""
    return escape("".join(letter if letter.isprintable() else "�" for letter in str(value)))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML already."""
    cells = "".join(f'<th scope="col">{_text(each)}</th>' for each in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
