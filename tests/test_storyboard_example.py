"""The example player: the tile under the pointer is that of the moment, in a real browser."""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from farm.samples.clip import make_clip
from farm.samples.videos import RECIPES
from tests.browser import browser
from tests.service.live import FileServer

__all__ = ["browser"]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/storyboard"
CLIP = "h264-one-keyframe.mp4"
SECONDS = 10

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """The example with a clip, and a storyboard made by the command that the page names."""
    folder = tmp_path_factory.mktemp("site") / "storyboard"
    shutil.copytree(EXAMPLE, folder)
    (recipe,) = (each for each in RECIPES if each.name == CLIP)
    (folder / "clip.mp4").write_bytes(make_clip(recipe))
    page = (folder / "index.html").read_text()
    command = re.search(r"farm (thumbnail .*)\\\n(.*)", page)
    assert command is not None
    words = (command[1] + command[2]).split()
    subprocess.run([sys.executable, "-m", "farm", *words], cwd=folder, check=True, timeout=120)
    server = FileServer(folder)
    yield server
    server.close()


@pytest.fixture
def page(browser: Any, site: FileServer) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 800, "height": 640})
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.goto(f"{site.url}/index.html")
    page.wait_for_selector(".timeline", state="attached")
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    yield page
    assert [each for each in said if each.startswith("error")] == []
    page.close()


def _tile_shown(page: Any) -> Image.Image:
    """What the preview shows, without its border and the time."""
    page.evaluate("document.querySelector('.preview time').style.visibility = 'hidden'")
    shot = Image.open(io.BytesIO(page.locator(".preview").screenshot())).convert("RGB")
    page.evaluate("document.querySelector('.preview time').style.visibility = ''")
    return shot.crop((8, 8, shot.width - 8, shot.height - 8))


def test_the_tile_under_the_pointer_is_that_of_the_moment(page: Any, site: FileServer) -> None:
    sheet = Image.open(site.folder / "sprite.jpg").convert("RGB")
    cues = (site.folder / "sprite.vtt").read_text()
    found = re.findall(r"#xywh=(\d+),(\d+),(\d+),(\d+)", cues)
    tiles = [tuple(map(int, each)) for each in found]
    assert len(tiles) == SECONDS
    line = page.locator(".timeline").bounding_box()
    for second in (0, 3, 7, 9):
        moment = second + 0.5
        page.mouse.move(line["x"] + line["width"] * moment / SECONDS, line["y"] + 10)
        page.wait_for_selector(".preview", state="visible")
        assert page.inner_text(".preview time") == f"0:0{second}"
        shown = _tile_shown(page)
        differences = [
            sum(ImageStat.Stat(ImageChops.difference(shown, _piece(sheet, tile, shown))).mean)
            for tile in tiles
        ]
        assert differences.index(min(differences)) == second
        assert min(differences) < 3
    page.mouse.move(5, 5)
    page.wait_for_selector(".preview", state="hidden")


def _piece(sheet: Image.Image, tile: tuple[int, ...], like: Image.Image) -> Image.Image:
    """The middle of a tile, as large as another picture."""
    left, top, width, height = tile
    x, y = left + (width - like.width) // 2, top + (height - like.height) // 2
    return sheet.crop((x, y, x + like.width, y + like.height))


def test_a_click_goes_there(page: Any) -> None:
    line = page.locator(".timeline").bounding_box()
    page.mouse.click(line["x"] + line["width"] * 0.63, line["y"] + 10)
    page.wait_for_function("Math.abs(document.querySelector('video').currentTime - 6.3) < 0.1")


def test_keys_do_all_that_the_pointer_does(page: Any) -> None:
    page.keyboard.press("Tab")
    line = page.locator(".timeline")
    assert line.evaluate("each => each === document.activeElement")
    page.wait_for_selector(".preview", state="visible")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.inner_text(".preview time") == "0:04"
    assert line.get_attribute("aria-valuetext") == "0:04 of 0:10"
    page.keyboard.press("End")
    assert page.inner_text(".preview time") == "0:10"
    page.keyboard.press("Home")
    assert float(line.get_attribute("aria-valuenow")) == 0
    page.keyboard.press("Escape")
    page.wait_for_selector(".preview", state="hidden")


def test_it_reads_what_webvtt_allows(page: Any) -> None:
    text = (
        "WEBVTT - made elsewhere\r\n\r\nNOTE hello\r\n\r\n"
        "1\r\n00:00.000 --> 00:05.000 align:start\r\n"
        "a%20b.jpg\r\n\r\n01:00:05.000 --> 01:00:10.500\r\ndir/s.jpg#xywh=160,90,160,90\r\n"
    )
    cues = page.evaluate(
        "async (text) => (await import('./storyboard.js')).parseStoryboard(text, 'http://h/x/v.vtt')",
        text,
    )
    assert [(cue["start"], cue["end"], cue["url"], cue["left"], cue["width"]) for cue in cues] == [
        (0, 5, "http://h/x/a%20b.jpg", 0, None),
        (3605, 3610.5, "http://h/x/dir/s.jpg", 160, 160),
    ]
