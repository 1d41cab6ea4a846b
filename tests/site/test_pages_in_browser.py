"""The pages of an index in a real browser: what they show, what people type after them, that they ask nobody else."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import parse
from headless import chromium
from patience import wait_until
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl import api
from mimctl.site.people import STATIC

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '<img src=x onerror="window.struck = true"></script><script>window.struck = true</script>'
TURNED = "\u202epihsniw\u2066 \x9b31m\x07"
"""Marks of direction and control characters, which text of others may not bring onto a page."""
SHOWN = re.sub(r"[\x07\x9b\u202e\u2066]", "�", TURNED)


def model(number: int) -> dict[str, Any]:
    return {
        "name": f"net_{number}_1x_coco",
        "collection": "Net" if number % 2 else HOSTILE,
        "config": f"net/net_{number}_1x_coco.py",
        "config_source": "mmdet==3.3.0",
        "weights": {"url": f"https://weights.example.org/net_{number}-0123456{number}.pth", "sha8": f"0123456{number}"},
        "results": [{"task": "Object Detection", "dataset": "COCO", "metrics": {"box AP": 40 + number}}],
        "metadata": {"Parameters": f"{10 + number}M", "Epochs": 12},
        "buildable": number < 2,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with builds of the operators and a zoo some of whose texts are hostile."""
    folder = tmp_path_factory.mktemp("pages")
    for project in ("mimctl", "mimctl_cls", "mimctl_det"):
        write_wheel(folder / "wheels", f"{project}-0.1.0-py3-none-any.whl")
    for backend, version in (("cpu", "0.1.0"), ("python", "0.1.0"), ("cu13", "0.1.0+cu13")):
        write_ops_wheel(folder / "wheels", backend, version=version)
    zoo = {"schema_version": 1, "plugin": "det", "models": [model(number) for number in range(8)]}
    zoo["collections"] = {
        "Net": {"paper": "https://example.org/net", "title": HOSTILE},
        HOSTILE: {"paper": "javascript:1"},
    }
    (folder / "zoo").mkdir()
    (folder / "zoo" / "det.json").write_text(json.dumps(zoo))
    (folder / "zoo" / "pose.json").write_text(json.dumps({**zoo, "plugin": "pose", "models": [model(8)]}))
    boxes = yaml.safe_load((ROOT / "index" / "toolboxes.yaml").read_text())
    boxes["det"]["summary"] += HOSTILE + TURNED
    (folder / "toolboxes.yaml").write_text(yaml.safe_dump(boxes))
    wheel = next((folder / "wheels").glob("*+cu13*"))
    (folder / "report.json").write_text(json.dumps({"cells": [verified(wheel)]}))
    api.build_index(
        [folder / "wheels"],
        folder / "site",
        zoo=folder / "zoo",
        toolboxes=folder / "toolboxes.yaml",
        verified=[folder / "report.json"],
    )
    turn(folder / "site" / "page" / "data" / "zoo-pose.js")
    return folder / "site"


def verified(wheel: Path) -> dict[str, Any]:
    """Return a cell as `mimctl wheels verify --json` prints it."""
    counts = {"passed": 254, "failed": 0, "skipped": 1}
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {"outcome": "passed", "torch": "2.13.0+cu130", "python": "3.11.9", "sha256": sha256, **counts}


def turn(script: Path) -> None:
    """Put into a page's data what `mimctl index build` takes from nobody: the page does not rely on that."""
    odd = {**model(8), "name": f"net_8{TURNED}", "metadata": {"Parameters": "9M", f"Odd{TURNED}": TURNED}}
    odd["results"][0]["dataset"] = f"COCO{TURNED}"
    head, _, _ = script.read_text().partition('"models":[')
    script.write_text(f'{head}"models":[{json.dumps(odd)}]}};\n')


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module", params=["file", "http"])
def address(request: pytest.FixtureRequest, site: Path) -> Iterator[str]:
    """The index as a folder, and as `mimctl index serve` serves it."""
    if request.param == "file":
        yield site.as_uri()
        return
    argv = [sys.executable, "-P", "-m", "mimctl", "index", "serve", str(site)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.send_signal(2)
        assert server.wait(240) == 0


def by(browser: Any, selector: str) -> list[Any]:
    found: list[Any] = browser.find_elements("css selector", selector)
    return found


def quiet(browser: Any, address: str) -> None:
    """Assert that the page complained of nothing, was struck by nothing and asked nobody but the index."""
    assert [each for each in browser.get_log("browser") if each["level"] != "INFO"] == []
    assert browser.execute_script("return window.struck") is None
    asked = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in asked if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if url.startswith(("http", "file")) and not url.startswith(address)] == []


def test_each_choice_gives_lines_that_the_command_line_takes(browser: Any, address: str) -> None:
    browser.get(f"{address}/index.html")
    names = ("toolbox", "system", "torch", "backend")
    choices = [[each.get_attribute("value") for each in by(browser, f'input[name="{name}"]')] for name in names]
    assert [len(each) for each in choices][:2] == [2, 4]
    choose = """
        for (const [name, value] of Object.entries(arguments[0]))
          for (const input of document.querySelectorAll(`input[name="${name}"]`))
            if (input.value === value && !input.disabled) input.checked = true;
        document.getElementById("choose").dispatchEvent(new Event("change"));
        return document.querySelector("#commands code").textContent;
    """
    seen = set()
    for chosen in itertools.product(*choices):
        text = browser.execute_script(choose, dict(zip(names, chosen, strict=True)))
        if "macOS" in chosen:
            assert "cu13" not in text, "there is no CUDA there"
        pip, *lines = text.split("\n")
        assert pip == f"pip install {address}/files/mimctl-0.1.0-py3-none-any.whl", "no other index can take the name"
        assert lines[0] == f"mimctl settings set index {address}"
        for line in lines:
            parse(shlex.split(line)[1:])
        seen.add(lines[-1])
    assert {"mimctl install det", "mimctl install cls --torch cpu --variant python"} <= seen
    quiet(browser, address)


def test_the_builds_of_the_operators_stand_in_a_table(browser: Any, address: str) -> None:
    browser.get(f"{address}/index.html")
    tables = {each.text for each in by(browser, "h2")}
    assert tables == {"Toolboxes", "Builds of the operators", "What was verified", "Wheels"}
    builds = by(browser, "h2:nth-of-type(2) + .scroll tbody tr")
    assert [[cell.text for cell in row.find_elements("css selector", "td")][1] for row in builds] == [
        "python",
        "cpu",
        "cu13",
    ]
    assert by(browser, 'a[href^="zoo.html#toolbox=det"]')[0].text == "8 models"
    (tested,) = by(browser, "h2:nth-of-type(3) + p + .scroll tbody tr")
    assert tested.text == "0.1.0+cu13 cu13 manylinux_2_34_x86_64 Python 3.11.9: 254 passed, 1 skipped"
    summary = by(browser, "h2:nth-of-type(1) + .scroll tbody tr:nth-child(2) td:nth-child(2)")[0].text
    assert summary == f"object detection{HOSTILE}{SHOWN}", "text of others is text, and turns nothing round"
    quiet(browser, address)


def test_marks_of_direction_and_control_characters_are_inert(browser: Any, address: str) -> None:
    browser.get("about:blank")
    browser.get(f"{address}/zoo.html#toolbox=pose")
    wait(lambda: len(by(browser, "#body a")) == 1)
    assert by(browser, "#body a")[0].text == f"net_8{SHOWN}"
    assert {each.get_attribute("textContent") for each in by(browser, "#dataset option")} == {
        "all",
        f"COCO{SHOWN} (1)",
    }
    by(browser, "#body a")[0].click()
    wait(lambda: by(browser, "h1")[0].text == f"net_8{SHOWN}")
    assert f"Odd{SHOWN}" in by(browser, "#facts")[0].text
    for page in (f"{address}/index.html", f"{address}/zoo.html#toolbox=pose", browser.current_url):
        browser.get("about:blank")
        browser.get(page)
        wait(lambda: bool(by(browser, "td")))
        text = browser.title + browser.execute_script("return document.body.textContent + document.body.outerHTML")
        assert not set(TURNED) & set(text) - set("pihsniw 31m"), page


def test_models_are_filtered_ordered_and_drawn(browser: Any, address: str) -> None:
    browser.get("about:blank")
    browser.get(f"{address}/zoo.html#toolbox=det")
    names = lambda: [each.text for each in by(browser, "#body td:first-child a")]  # noqa: E731
    wait(lambda: len(names()) == 8)
    assert names()[0] == "net_7_1x_coco", "the best figure first"
    assert len(by(browser, "#plot circle")) == 8
    assert by(browser, "th[aria-sort]")[2].get_attribute("aria-sort") == "descending"
    heading = by(browser, '#head button[data-column="metric"]')[0]
    browser.execute_script("arguments[0].focus()", heading)
    heading.send_keys("\n")
    assert names()[0] == "net_0_1x_coco"
    assert browser.switch_to.active_element.get_attribute("data-column") == "metric", "the keyboard stays where it was"
    by(browser, "#text")[0].send_keys("net_3")
    assert names() == ["net_3_1x_coco"]
    assert by(browser, "#count")[0].text == "1 of 8 models"
    by(browser, "#text")[0].clear()
    by(browser, "#text")[0].send_keys(" ")
    by(browser, "#built")[0].click()
    assert sorted(names()) == ["net_0_1x_coco", "net_1_1x_coco"]
    assert HOSTILE in {each.text for each in by(browser, "#body td:nth-child(2)")}, "text of others is text"
    state = browser.current_url
    browser.get("about:blank")
    browser.get(state)
    wait(lambda: len(names()) == 2)
    quiet(browser, address)


def test_a_model_has_a_page_with_its_commands(browser: Any, address: str) -> None:
    browser.get("about:blank")
    browser.get(f"{address}/zoo.html#toolbox=det")
    wait(lambda: bool(by(browser, "#plot circle")))
    by(browser, "#body a")[-1].click()
    wait(lambda: by(browser, "h1")[0].text == "net_0_1x_coco")
    lines = by(browser, "#commands code")[0].text.split("\n")
    assert lines[0] == "mimctl download det net_0_1x_coco --dest ."
    assert len(lines) == 5
    for line in lines:
        parse(shlex.split(line)[1:])
    assert "a 32-bit check only" in by(browser, "#facts")[0].text
    assert [each.get_attribute("href") for each in by(browser, "#facts a")] == [
        "https://weights.example.org/net_0-01234560.pth"
    ], "an address that would run a script is no link"
    browser.get(f"{address}/model.html#toolbox=det&model=none")
    wait(lambda: by(browser, "h1")[0].text == "Not found")
    quiet(browser, address)


def wait(is_there: Callable[[], bool]) -> None:
    """Wait until a page shows what it is to show; what it showed before may go while it is looked at."""
    from selenium.common.exceptions import StaleElementReferenceException

    def is_so() -> bool:
        with contextlib.suppress(IndexError, StaleElementReferenceException):
            return is_there()
        return False

    wait_until(is_so)


def test_the_pages_are_small_and_name_no_other_place() -> None:
    files = [path for path in STATIC.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 300_000
    for path in files:
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s\"']+", path.read_text()), path.name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_of_text(scheme: str) -> None:
    """4.5 to 1, WCAG 2.2 success criterion 1.4.3."""
    css = (STATIC / "style.css").read_text()
    block = css.split("@media (prefers-color-scheme: dark)")[scheme == "dark"].split("}")[0]
    colours = dict(re.findall(r"--(\w+): #(\w{6})", block))
    assert set(colours) == {"text", "soft", "ground", "raised", "line", "link", "mark"}
    for ground, colour in itertools.product(("ground", "raised"), ("text", "soft", "link", "mark")):
        light, dark = sorted((luminance(colours[ground]), luminance(colours[colour])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, colour)


def luminance(colour: str) -> float:
    """Return the relative luminance of `rrggbb` (WCAG 2.2)."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
