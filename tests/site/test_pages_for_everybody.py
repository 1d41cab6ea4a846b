"""The pages of an index on a telephone, by the keyboard alone, on paper, and of an index that holds models alone."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import parse
from headless import chromium
from patience import wait_until
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl import api

LONG = "net-of-a-name-that-is-longer-than-a-telephone-is-wide_8xb32-300e_coco"
WIDTHS = (360, 800, 1400)


def model(number: int) -> dict[str, Any]:
    return {
        "name": f"{LONG}_{number}",
        "collection": f"Net {number % 7}",
        "config": f"net/{LONG}_{number}.py",
        "config_source": "mmdet==3.3.0",
        "weights": {
            "url": f"https://example.org/{LONG}/{LONG}_{number}-{number:08}.pth",
            "sha8": f"{number:08}",
        },
        "results": [{"task": "Object Detection", "dataset": "COCO", "metrics": {"box AP": 20 + number / 20}}],
        "metadata": {"Parameters": 10**6 * (1 + number), "Epochs": 12},
        "buildable": number < 2,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two indexes: `site`, with wheels and as many models as det has, and `models`, without a wheel."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "zoo").mkdir()
    zoo = {"schema_version": 1, "plugin": "det", "models": [model(number) for number in range(594)]}
    (folder / "zoo" / "det.json").write_text(json.dumps(zoo))
    boxes = {"det": {"distribution": "mimctl-det", "summary": "object detection"}}
    (folder / "toolboxes.yaml").write_text(yaml.safe_dump(boxes))
    for project in ("mimctl", "mimctl_det"):
        write_wheel(folder / "wheels", f"{project}-0.1.0-py3-none-any.whl")
    for backend, version in (("cpu", "0.1.0"), ("python", "0.1.0"), ("cu13", "0.1.0+cu13")):
        write_ops_wheel(folder / "wheels", backend, version=version)
    for name, wheels in (("site", [folder / "wheels"]), ("models", [])):
        api.build_index(wheels, folder / name, zoo=folder / "zoo", toolboxes=folder / "toolboxes.yaml")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def resize(browser: Any) -> Iterator[Any]:
    """Give the browser a width as a telephone's, until the test ends."""

    def to(width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    yield to
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def by(browser: Any, selector: str) -> list[Any]:
    found: list[Any] = browser.find_elements("css selector", selector)
    return found


def show(browser: Any, address: str, until: str) -> None:
    browser.get("about:blank")
    browser.get(address)
    wait_until(lambda: by(browser, until))


def pages(folder: Path) -> list[tuple[str, str]]:
    """Return the address of each page, and what stands on it when it is there."""
    site = (folder / "site").as_uri()
    return [
        (f"{site}/index.html", "#commands button"),
        (f"{site}/zoo.html#toolbox=det&cost=Parameters", "#plot circle"),
        (f"{site}/model.html#toolbox=det&model={LONG}_0", "#facts td"),
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_screen(browser: Any, folder: Path, resize: Any, width: int) -> None:
    resize(width)
    for address, until in pages(folder):
        show(browser, address, until)
        assert browser.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0, address
        for copy in by(browser, ".commands button"):
            code = by(browser, ".commands pre")[0].rect
            beside, below = copy.rect["x"] >= code["x"] + code["width"], copy.rect["y"] >= code["y"] + code["height"]
            assert beside or below, "the button covers what it copies"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_letters_of_the_picture_keep_their_size(browser: Any, folder: Path, resize: Any, width: int) -> None:
    resize(width)
    show(browser, *pages(folder)[1])
    heights = browser.execute_script(
        "return [...document.querySelectorAll('#plot text')].map((each) => each.getBoundingClientRect().height)"
    )
    assert len(heights) > 5
    assert min(heights) >= 11
    assert len(by(browser, "#plot circle")) == 594
    ends = browser.execute_script(
        "return [...document.querySelectorAll('#plot text[text-anchor=middle]')]"
        ".map((each) => [each.getBoundingClientRect().left, each.getBoundingClientRect().right])"
    )
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(ends)), "words lie on words"


def test_a_model_is_found_by_the_keyboard_alone(browser: Any, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, *pages(folder)[1])
    active = lambda: browser.switch_to.active_element  # noqa: E731

    def tab_to(selector: str, most: int = 30) -> None:
        for _ in range(most):
            active().send_keys(Keys.TAB)
            if browser.execute_script("return document.activeElement.matches(arguments[0])", selector):
                outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"nobody sees that {selector} is focused"
                return
        raise AssertionError(f"{most} times Tab do not lead to {selector}")

    tab_to("#text")
    active().send_keys("_593 coco")
    wait_until(lambda: len(by(browser, "#body a")) == 1)
    tab_to('#head [data-column="name"]')
    active().send_keys(Keys.ENTER)
    assert by(browser, '#head th[aria-sort="ascending"]')[0].text == "Model"
    tab_to("#body a")
    active().send_keys(Keys.ENTER)
    wait_until(lambda: by(browser, "#facts td"))
    assert by(browser, "h1")[0].text == f"{LONG}_593"
    browser.back()
    wait_until(lambda: len(by(browser, "#body a")) == 1)
    assert by(browser, "#text")[0].get_attribute("value") == "_593 coco"
    assert by(browser, '#head th[aria-sort="ascending"]')[0].text == "Model", "the order is kept, too"


def test_all_choices_of_the_form_are_made_with_the_arrows(browser: Any, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, *pages(folder)[0])
    by(browser, 'input[name="system"]')[0].send_keys(Keys.ARROW_DOWN)
    by(browser, 'input[name="torch"]')[0].send_keys(Keys.ARROW_DOWN)
    lines = by(browser, "#commands code")[0].text.split("\n")
    assert lines[-1] == "mimctl install det --torch auto"
    assert "no compiled build is for Linux aarch64" in by(browser, "#operators")[0].text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_can_be_read_has_contrast(browser: Any, folder: Path, scheme: str) -> None:
    """4.5 to 1 (WCAG 2.2, 1.4.3), as the browser has put the colours together; what cannot be chosen is let off."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        for address, until in pages(folder):
            show(browser, address, until)
            ratios = browser.execute_script(_CONTRASTS)
            assert len(ratios) > 10
            assert min(ratios.values()) >= 4.5, min(ratios, key=lambda text: ratios[text])
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


_CONTRASTS = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => channels(colour).slice(0, 3).map((part) => part / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if ((channels(colour)[3] ?? 1) > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const found = {};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let text = texts.nextNode(); text; text = texts.nextNode()) {
  const element = text.parentElement;
  if (!text.data.trim() || !element.checkVisibility() || element.querySelector(":disabled")) continue;
  const style = getComputedStyle(element);
  const colour = element.closest("svg") ? style.fill : style.color;
  const [low, high] = [light(colour), light(ground(element))].sort((a, b) => a - b);
  found[text.data.trim()] = (high + 0.05) / (low + 0.05);
}
return found;
"""


def test_on_paper_there_is_nothing_to_press(browser: Any, folder: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for address, until in pages(folder):
            show(browser, address, until)
            assert [each.text for each in by(browser, "form, .commands button") if each.is_displayed()] == []
            assert by(browser, "h1")[0].is_displayed()
            for pre in by(browser, "pre"):
                assert browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", pre)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_an_index_of_models_alone_says_how_to_find_them(browser: Any, folder: Path) -> None:
    site = (folder / "models").as_uri()
    show(browser, f"{site}/index.html", "#commands button")
    lines = by(browser, "#commands code")[0].text.split("\n")
    assert lines == [f"mimctl settings set index {site}", "mimctl search det"], "nothing that is not here is installed"
    for line in lines:
        parse(shlex.split(line)[1:])
    assert by(browser, "input") == []
    row = by(browser, "h2 + .scroll tbody tr")[0].text
    assert row.startswith("mimctl search det object detection; its wheels are not in this index;")
    assert by(browser, 'a[href^="zoo.html#toolbox=det"]')[0].text == "594 models"
    assert [each for each in browser.get_log("browser") if each["level"] != "INFO"] == []
