"""The pages of an index for people: how to install, its wheels, its models; they work from a folder as from a server.

The pages are plain HTML with scripts of our own (`static/`). Browsers let pages of files fetch nothing, so data come as
scripts too; whatever they hold becomes text, never HTML.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mimctl.site.entry import Entry
from mimctl.site.verified import Verification, Verified, torches_of

STATIC = Path(__file__).parent / "static"
ASSETS = ("style.css", "common.js", "select.js", "zoo.js", "model.js")
PAGES = ("zoo.html", "model.html")
_INTRODUCTION = (
    "mimctl looks at the PyTorch, the driver and the Python that are there, and installs the build that fits. "
    "A PyTorch that is there stays as it is."
)


def start_page(
    *,
    toolboxes: Mapping[str, Mapping[str, Any]],
    files: Sequence[Entry],
    zoos: Mapping[str, int],
    verified: Verified,
) -> str:
    """Return the first page: a form that says what to type, toolboxes, builds of the operators, tests, all wheels."""
    held = held_toolboxes(toolboxes, files)
    commands = "\n".join(map(_text, _commands(held, files, zoos)))
    body = [
        "<h1>From a bare machine to a trained vision model</h1>",
        f"<p>{_INTRODUCTION}</p>",
        '<form id="choose" aria-label="What to install"></form>',
        '<p id="operators" role="status"></p>',
        f'<div class="commands" id="commands"><pre><code>{commands}</code></pre></div>',
        f"<h2>Toolboxes</h2>{_toolboxes(toolboxes, held, zoos)}",
        f"<h2>Builds of the operators</h2>{_builds(files)}",
        f"<h2>What was verified</h2>{_matrix(files, verified)}",
        f"<h2>Wheels</h2>{_wheels(files)}",
        '<p>For programs: <a href="index.json">index.json</a>, <a href="toolboxes.json">toolboxes.json</a>, ',
        '<a href="simple/">simple/</a></p>',
    ]
    return (STATIC / "index.html").read_text(encoding="utf-8").replace("<!-- BODY -->", "\n".join(body))


def index_data(
    toolboxes: Mapping[str, Mapping[str, Any]], files: Sequence[Entry], num_models: Mapping[str, int]
) -> str:
    """Return the script that tells the pages what the index holds."""
    kept = [
        {"filename": file.filename, "tags": list(file.tags), "yanked": file.yanked, "build": file.build}
        for file in files
    ]
    held = held_toolboxes(toolboxes, files)
    data = {"toolboxes": held, "files": kept, "models": num_models, "mimctl": _own_wheel(files)}
    return _script("window.mimctlIndex", data)


def held_toolboxes(toolboxes: Mapping[str, Mapping[str, Any]], files: Iterable[Entry]) -> list[str]:
    """Return the toolboxes that can be installed from here, in the order of their names: an index may name others."""
    projects = {file.project for file in files if file.yanked is None}
    return sorted(name for name in toolboxes if toolboxes[name].get("distribution") in projects)


def zoo_data(plugin: str, document: Mapping[str, Any]) -> str:
    """Return the script that holds the models of one toolbox."""
    kept = {key: document.get(key) or {} for key in ("collections",)} | {"models": document["models"]}
    return "window.mimctlZoo ??= {};\n" + _script(f"window.mimctlZoo[{json.dumps(plugin)}]", kept)


def _script(name: str, data: object) -> str:
    # ASCII alone, and no `<`: nothing in it ends a script, wherever it is put.
    text = json.dumps(data, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
    return f"{name} = {text};\n"


def _commands(held: Sequence[str], files: Iterable[Entry], zoos: Mapping[str, int]) -> list[str]:
    """Return what to type where no script fills in the address and what was chosen."""
    wheel = _own_wheel(files)
    last = [*(f"mimctl install {name}" for name in held), *(f"mimctl search {name}" for name in sorted(zoos))]
    return [
        *([f"pip install ADDRESS/{wheel}"] if wheel else []),
        "mimctl settings set index ADDRESS",
        *last[:1],
    ]


def _own_wheel(files: Iterable[Entry]) -> str | None:
    """Return where the newest wheel of mimctl lies, None where there is none.

    By its address, for `--extra-index-url` lets pip take the name from whatever other index has a higher version.
    """
    wheels = [file.url for file in files if file.project == "mimctl" and file.yanked is None]
    return wheels[-1] if wheels else None


def _toolboxes(toolboxes: Mapping[str, Mapping[str, Any]], held: Collection[str], zoos: Mapping[str, int]) -> str:
    rows = []
    for name in (*held, *sorted({*toolboxes, *zoos} - {*held})):
        number = zoos.get(name, 0)
        summary = [str(toolboxes[name]["summary"])] if name in toolboxes else []
        if name not in held:
            no_wheel = "its wheels are not in this index" if name in toolboxes else "no toolbox yet"
            summary.append(f"{no_wheel}; its models can be searched and downloaded" if number else no_wheel)
        line = f"mimctl install {name}" if name in held else f"mimctl search {name}" if number else ""
        typed = f"<code>{_text(line)}</code>" if line else _text(name)
        rows.append((typed, _text("; ".join(each for each in summary if each)), _models(name, number)))
    return _table(("What to type", "What for", "Models"), rows, "Toolboxes") if rows else "<p>There are none here.</p>"


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
    return _table(head, rows, "Builds of the operators") if rows else "<p>This index holds no operators.</p>"


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
    said = (
        "The project's own tests, run with these very files (by their sha256) beside each torch. "
        "Skipped are those that the machine lacks something for, such as a GPU."
    )
    return f"<p>{said}</p>{_table(head, rows, 'What was verified')}"


def _run(run: Verification) -> str:
    counts = [f"{number} {word}" for number, word in ((run.passed, "passed"), (run.failed, "failed")) if number]
    words = ", ".join(counts) or "nothing passed"
    mark = "yes" if run.is_good else "no"
    skipped = f", {run.skipped} skipped" if run.skipped else ""
    said = f'<span class="{mark}">{words}</span>{skipped}{"" if run.is_good else " (not verified)"}'
    return f"Python {_text(run.python)}: {said}"


def _wheels(files: Iterable[Entry]) -> str:
    rows = [
        (
            f'<a href="{escape(file.url)}#sha256={file.sha256}">{_text(file.filename)}</a>',
            f"{file.size / 1000:.1f} kB",
            f"<code>{_text(file.sha256[:16])}…</code>",
            "" if file.yanked is None else _text(f"withdrawn: {file.yanked}".rstrip(": ")),
        )
        for file in files
    ]
    return _table(("Wheel", "Size", "sha256", ""), rows, "Wheels") if rows else "<p>This index holds no wheels.</p>"


def _text(value: object) -> str:
    """Return a text of others as HTML that shows it: no markup, nothing that turns the direction of what follows."""
    return escape("".join(letter if letter.isprintable() else "�" for letter in str(value)))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str) -> str:
    """Return a table in a region that the keyboard can scroll; the cells are HTML already."""
    cells = "".join(f'<th scope="col">{_text(each)}</th>' for each in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(name)}">'
    return f"{region}<table><thead><tr>{cells}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
